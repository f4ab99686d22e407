//! The request metrics.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{dev::ServiceRequest, http::Method};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::{Error, Observe, Outcome, RouteId, Routes};

/// Every value of the label `method`: RFC 9110, PATCH, and one for all the rest.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other",
];

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What a known route's methods start with at 0: a rate over a counter that is not there yet
/// misses its first increment, and the first error is the one that matters.
const STATUSES_AT_START: [u16; 3] = [200, 500, 503];

/// What a request that matches no route can end in.
const UNMATCHED_STATUSES: [u16; 3] = [404, 413, 414];

/// The request metrics of the whole process.
#[derive(Debug)]
pub(crate) struct Http {
    routes: Arc<Routes>,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    aborted: AtomicU64,
    outlasting: IntCounter,
    /// In microseconds.
    shutdown_timeout: AtomicU64,
}

impl Http {
    pub(crate) fn new(
        registry: &Registry,
        routes: Arc<Routes>,
        shutdown_timeout: Duration,
    ) -> Result<Self, Error> {
        let http = Self {
            requests: IntCounterVec::new(
                Opts::new("api_requests_total", "Requests that have ended."),
                &["method", "endpoint", "status"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "api_request_duration_seconds",
                    "Time from a request's head to the last byte of its answer.",
                )
                .buckets(BUCKETS.to_vec()),
                &["method", "endpoint"],
            )?,
            in_flight: IntGauge::new(
                "api_requests_in_flight",
                "Requests that are being answered.",
            )?,
            aborted: AtomicU64::new(0),
            // A request that was cut off is gone together with the process that could have counted
            // it, so no scrape ever sees one. Those that would be can be seen in time.
            outlasting: IntCounter::new(
                "berth_requests_outlasting_shutdown_total",
                "Requests that took longer than shutdown.timeout: a stop cuts such a one off.",
            )?,
            shutdown_timeout: AtomicU64::new(micros(shutdown_timeout)),
            routes,
        };
        registry.register(Box::new(http.requests.clone()))?;
        registry.register(Box::new(http.durations.clone()))?;
        registry.register(Box::new(http.in_flight.clone()))?;
        registry.register(Box::new(http.outlasting.clone()))?;
        http.start_at_zero();
        Ok(http)
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    pub(crate) fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_shutdown_timeout(&self, timeout: Duration) {
        self.shutdown_timeout
            .store(micros(timeout), Ordering::Relaxed);
    }

    fn start_at_zero(&self) {
        for (index, route) in self.routes.known().iter().enumerate() {
            let unmatched = index == RouteId::UNMATCHED.index();
            let statuses = if unmatched {
                UNMATCHED_STATUSES
            } else {
                STATUSES_AT_START
            };
            let methods = METHODS
                .iter()
                .filter(|method| unmatched || route.methods.iter().any(|m| m == *method));
            for method in methods.filter(|_| route.counted) {
                self.durations.with_label_values(&[*method, &route.name]);
                for status in statuses {
                    self.counter(method, &route.name, status);
                }
            }
        }
    }

    fn counter(&self, method: &str, endpoint: &str, status: u16) -> IntCounter {
        let status = status.to_string();
        self.requests
            .with_label_values(&[method, endpoint, status.as_str()])
    }
}

/// Counts the requests of one worker.
///
/// It keeps the label children that it has met: finding one by its labels costs a hash of every
/// label and a lock that all workers share, on each request.
pub struct HttpObserver {
    http: Arc<Http>,
    /// By route, then method.
    children: Vec<Children>,
}

#[derive(Default)]
struct Children {
    duration: OnceCell<Histogram>,
    /// By status. Few enough that a search from the front beats a hash.
    requests: RefCell<Vec<(u16, IntCounter)>>,
}

impl HttpObserver {
    pub(crate) fn new(http: Arc<Http>) -> Self {
        let pairs = http.routes.known().len() * METHODS.len();
        Self {
            http,
            children: std::iter::repeat_with(Children::default)
                .take(pairs)
                .collect(),
        }
    }

    fn count(&self, method: usize, outcome: &Outcome) {
        let endpoint = self.http.routes.name(outcome.route);
        let children = &self.children[outcome.route.index() * METHODS.len() + method];
        children
            .duration
            .get_or_init(|| {
                let labels = [METHODS[method], endpoint];
                self.http.durations.with_label_values(&labels)
            })
            .observe(outcome.elapsed.as_secs_f64());

        let status = outcome.status_code();
        let mut requests = children.requests.borrow_mut();
        if let Some((_, counter)) = requests.iter().find(|(known, _)| *known == status) {
            counter.inc();
        } else {
            let counter = self.http.counter(METHODS[method], endpoint, status);
            counter.inc();
            requests.push((status, counter));
        }
    }
}

impl fmt::Debug for HttpObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpObserver").finish_non_exhaustive()
    }
}

/// What is remembered of a counted request: its method's place in [`METHODS`].
#[derive(Debug, Clone, Copy)]
pub struct Counted(usize);

impl Observe for HttpObserver {
    type Record = Option<Counted>;

    fn begin(&self, req: &ServiceRequest, route: RouteId) -> Self::Record {
        self.http.routes.counted(route).then(|| {
            self.http.in_flight.inc();
            Counted(method_index(req.method()))
        })
    }

    fn end(&self, record: Self::Record, outcome: &Outcome) {
        let Some(Counted(method)) = record else {
            return;
        };
        self.count(method, outcome);
        if micros(outcome.elapsed) > self.http.shutdown_timeout.load(Ordering::Relaxed) {
            self.http.outlasting.inc();
        }
        if !outcome.complete {
            self.http.aborted.fetch_add(1, Ordering::Relaxed);
        }
        self.http.in_flight.dec();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::CONNECT => 5,
        Method::OPTIONS => 6,
        Method::TRACE => 7,
        Method::PATCH => 8,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_own_name() {
        for (index, name) in METHODS.iter().enumerate() {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(method_index(&method), index);
        }
        assert_eq!(
            METHODS[method_index(&Method::from_bytes(b"BREW").unwrap())],
            "other"
        );
        assert_eq!(
            METHODS[method_index(&Method::from_bytes(b"get").unwrap())],
            "other"
        );
    }
}
