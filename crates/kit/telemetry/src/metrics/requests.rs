//! The request metrics.

use std::{
    cell::RefCell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{dev::ServiceRequest, http::Method};
use berth_kit_http::{Observe, Outcome, RequestContext, RouteId, RouteTable, UNMATCHED};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use super::Error;

/// Every value of the label `method`: RFC 9110, PATCH, and one for all the rest.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", OTHER,
];

/// Every method that has no name of its own, and what has not become a request.
const OTHER: &str = "other";

/// Upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What a known route's methods start with at 0: a rate over a counter that is not there yet
/// misses its first increment, and the first error is the one that matters.
const STATUSES_AT_START: [u16; 3] = [200, 500, 503];

/// What a request that matches no route can end in.
const UNMATCHED_STATUSES: [u16; 3] = [404, 413, 414];

/// And one that has not become a request, counted as unmatched, of another method.
const REFUSED_STATUSES: [u16; 6] = [400, 408, 413, 414, 431, 503];

/// The request metrics of the whole process.
#[derive(Debug)]
pub(crate) struct Http {
    table: Arc<RouteTable>,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    outlasting: IntCounter,
    /// In nanoseconds.
    shutdown_timeout: AtomicU64,
}

impl Http {
    pub(crate) fn new(
        registry: &Registry,
        table: Arc<RouteTable>,
        shutdown_timeout: Duration,
    ) -> Result<Arc<Self>, Error> {
        let durations = HistogramOpts::new(
            "api_request_duration_seconds",
            "Time from a request's head to the last byte of its answer.",
        );
        let http = Self {
            requests: IntCounterVec::new(
                Opts::new("api_requests_total", "Requests that have ended."),
                &["method", "endpoint", "status"],
            )?,
            durations: HistogramVec::new(
                durations.buckets(BOUNDS.to_vec()),
                &["method", "endpoint"],
            )?,
            in_flight: IntGauge::new(
                "api_requests_in_flight",
                "Requests that are being answered.",
            )?,
            // A request that was cut off is gone together with the process that could have counted
            // it, so no scrape ever sees one. Those that would be can be seen in time.
            outlasting: IntCounter::new(
                "berth_requests_outlasting_shutdown_total",
                "Requests that took longer than shutdown.timeout: a stop cuts such a one off.",
            )?,
            shutdown_timeout: AtomicU64::new(nanoseconds(shutdown_timeout)),
            table,
        };
        http.start_at_zero();
        registry.register(Box::new(http.requests.clone()))?;
        registry.register(Box::new(http.durations.clone()))?;
        registry.register(Box::new(http.in_flight.clone()))?;
        registry.register(Box::new(http.outlasting.clone()))?;
        Ok(Arc::new(http))
    }

    pub(crate) fn set_shutdown_timeout(&self, timeout: Duration) {
        self.shutdown_timeout
            .store(nanoseconds(timeout), Ordering::Relaxed);
    }

    fn start_at_zero(&self) {
        for (index, route) in self.table.routes().iter().enumerate() {
            if !self.table.counts(&route.pattern) {
                continue;
            }
            let (methods, statuses) = if index == RouteId::UNMATCHED.index() {
                (METHODS.to_vec(), UNMATCHED_STATUSES)
            } else {
                (route.answers(), STATUSES_AT_START)
            };
            for method in methods.into_iter().map(label) {
                self.duration(method, &route.pattern);
                for status in statuses {
                    self.ended(method, &route.pattern, status);
                }
            }
        }
        for status in REFUSED_STATUSES {
            self.ended(OTHER, UNMATCHED, status);
        }
    }

    fn duration(&self, method: &str, endpoint: &str) -> Histogram {
        self.durations.with_label_values(&[method, endpoint])
    }

    fn ended(&self, method: &str, endpoint: &str, status: u16) -> IntCounter {
        let status = status.to_string();
        self.requests
            .with_label_values(&[method, endpoint, &status])
    }

    /// Counts what was answered with this status and had not become a request.
    pub(crate) fn refused(&self, status: u16) {
        self.ended(OTHER, UNMATCHED, status).inc();
    }
}

/// Counts the requests of one worker.
pub struct HttpObserver {
    http: Arc<Http>,
    /// The metrics that this worker has met, by route and method: to look them up by their labels takes a lock.
    met: Box<[RefCell<Option<Met>>]>,
}

/// The metrics of one route and method.
struct Met {
    duration: Histogram,
    /// Few enough that a search from the front beats a hash.
    statuses: Vec<(u16, IntCounter)>,
}

impl HttpObserver {
    pub(crate) fn new(http: Arc<Http>) -> Self {
        let pairs = http.table.routes().len() * METHODS.len();
        Self {
            met: std::iter::repeat_with(RefCell::default)
                .take(pairs)
                .collect(),
            http,
        }
    }

    fn count(&self, method: usize, outcome: &Outcome) {
        let (name, endpoint) = (METHODS[method], self.http.table.name(outcome.route));
        let mut met = self.met[outcome.route.index() * METHODS.len() + method].borrow_mut();
        let met = met.get_or_insert_with(|| Met {
            duration: self.http.duration(name, endpoint),
            statuses: Vec::new(),
        });
        met.duration.observe(outcome.elapsed.as_secs_f64());
        let status = outcome.status_code();
        if let Some((_, count)) = met.statuses.iter().find(|(known, _)| *known == status) {
            count.inc();
        } else {
            let count = self.http.ended(name, endpoint, status);
            count.inc();
            met.statuses.push((status, count));
        }
    }
}

impl fmt::Debug for HttpObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpObserver").finish_non_exhaustive()
    }
}

/// What is remembered of a request: its method's place in [`METHODS`], if it is counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted(Option<usize>);

impl Observe for HttpObserver {
    type Record = Counted;

    fn begin(&self, record: &mut Counted, req: &ServiceRequest) {
        record.0 = self.http.table.counts(req.path()).then(|| {
            self.http.in_flight.inc();
            method_index(req.method())
        });
    }

    fn end(&self, record: &mut Counted, _: &RequestContext, outcome: &Outcome) {
        let Some(method) = record.0 else {
            return;
        };
        self.count(method, outcome);
        if nanoseconds(outcome.elapsed) > self.http.shutdown_timeout.load(Ordering::Relaxed) {
            self.http.outlasting.inc();
        }
        self.http.in_flight.dec();
    }
}

/// At most some 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The label of this method.
fn label(method: &str) -> &'static str {
    let known = METHODS.iter().find(|known| **known == method);
    known.copied().unwrap_or(OTHER)
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
