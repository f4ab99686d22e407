//! The request metrics.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    marker::PhantomData,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{dev::ServiceRequest, http::Method};
use berth_kit_http::{Observe, Outcome, RequestContext, RouteId, RouteTable};
use prometheus::{
    IntCounter, IntGauge, Registry,
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{
    Error,
    shard::{BOUNDS, Count, Shard, Total},
};

/// Every value of the label `method`: RFC 9110, PATCH, and one for all the rest.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other",
];

/// What a known route's methods start with at 0: a rate over a counter that is not there yet
/// misses its first increment, and the first error is the one that matters.
const STATUSES_AT_START: [u16; 3] = [200, 500, 503];

/// What a request that matches no route can end in.
const UNMATCHED_STATUSES: [u16; 3] = [404, 413, 414];

/// And one that has not become a request, counted as unmatched (the first route) of another method.
const REFUSED_STATUSES: [u16; 5] = [400, 408, 413, 414, 431];
const REFUSED: usize = METHODS.len() - 1;

/// The request metrics of the whole process.
#[derive(Debug)]
pub(crate) struct Http {
    table: Arc<RouteTable>,
    /// One of each worker, after one that holds what is there from the start.
    shards: Mutex<Vec<Arc<Shard>>>,
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
        let http = Arc::new(Self {
            shards: Mutex::default(),
            // A request that was cut off is gone together with the process that could have counted
            // it, so no scrape ever sees one. Those that would be can be seen in time.
            outlasting: IntCounter::new(
                "berth_requests_outlasting_shutdown_total",
                "Requests that took longer than shutdown.timeout: a stop cuts such a one off.",
            )?,
            shutdown_timeout: AtomicU64::new(nanoseconds(shutdown_timeout)),
            table,
        });
        http.start_at_zero();
        registry.register(Box::new(Exposed::new(Arc::clone(&http))?))?;
        registry.register(Box::new(http.outlasting.clone()))?;
        Ok(http)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let shards = self.shards();
        // Those that have ended first: one that begins and ends in between is not in flight.
        let ended: u64 = shards.iter().map(|shard| shard.ended.get()).sum();
        let begun: u64 = shards.iter().map(|shard| shard.begun.get()).sum();
        begun.saturating_sub(ended)
    }

    pub(crate) fn set_shutdown_timeout(&self, timeout: Duration) {
        self.shutdown_timeout
            .store(nanoseconds(timeout), Ordering::Relaxed);
    }

    fn start_at_zero(&self) {
        let shard = self.shard();
        for (index, route) in self.table.routes().iter().enumerate() {
            let unmatched = index == RouteId::UNMATCHED.index();
            let statuses = if unmatched {
                UNMATCHED_STATUSES
            } else {
                STATUSES_AT_START
            };
            let answers = route.answers();
            let methods = METHODS
                .iter()
                .enumerate()
                .filter(|(_, method)| unmatched || answers.contains(method));
            let is_counted = self.table.counts(&route.pattern);
            for (method, _) in methods.filter(|_| is_counted) {
                let series = shard.series(index * METHODS.len() + method);
                for status in statuses {
                    series.status(status);
                }
            }
        }
        let refused = shard.series(REFUSED);
        for status in REFUSED_STATUSES {
            refused.status(status);
        }
    }

    /// Counts what was answered with this status and had not become a request.
    pub(crate) fn refused(&self, status: u16) {
        // The first is nobody's, so it is written to under the lock.
        if let Some(shard) = self.shards().first() {
            shard.series(REFUSED).status(status).add(1);
        }
    }

    fn pairs(&self) -> usize {
        self.table.routes().len() * METHODS.len()
    }

    /// Counts for one more worker.
    fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::new(self.pairs()));
        self.shards().push(Arc::clone(&shard));
        shard
    }

    fn shards(&self) -> MutexGuard<'_, Vec<Arc<Shard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a scrape sees of it.
struct Exposed {
    http: Arc<Http>,
    requests: Desc,
    durations: Desc,
    in_flight: IntGauge,
}

impl Exposed {
    fn new(http: Arc<Http>) -> Result<Self, Error> {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(Self {
            http,
            requests: desc(
                "api_requests_total",
                "Requests that have ended.",
                &["method", "endpoint", "status"],
            )?,
            durations: desc(
                "api_request_duration_seconds",
                "Time from a request's head to the last byte of its answer.",
                &["method", "endpoint"],
            )?,
            in_flight: IntGauge::new(
                "api_requests_in_flight",
                "Requests that are being answered.",
            )?,
        })
    }

    /// The counts of every route and method that has any.
    fn totals(&self) -> Vec<(&'static str, &str, Total)> {
        let shards = self.http.shards();
        let pairs = self.http.table.routes().iter().flat_map(|route| {
            METHODS
                .iter()
                .map(move |method| (*method, route.pattern.as_str()))
        });
        pairs
            .enumerate()
            .filter_map(|(pair, (method, endpoint))| {
                let mut known = shards
                    .iter()
                    .filter_map(|shard| shard.known(pair))
                    .peekable();
                known.peek()?;
                let mut total = Total::default();
                known.for_each(|series| total.add(series));
                Some((method, endpoint, total))
            })
            .collect()
    }
}

impl Collector for Exposed {
    fn desc(&self) -> Vec<&Desc> {
        let mut descs = vec![&self.requests, &self.durations];
        descs.extend(self.in_flight.desc());
        descs
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut requests = Vec::new();
        let mut durations = Vec::new();
        for (method, endpoint, total) in self.totals() {
            for (status, count) in &total.statuses {
                let mut counter = Counter::default();
                counter.set_value(float(*count));
                let status = status.to_string();
                let mut metric = Metric::from_label(labels([
                    ("endpoint", endpoint),
                    ("method", method),
                    ("status", &status),
                ]));
                metric.set_counter(counter);
                requests.push(metric);
            }
            let mut metric =
                Metric::from_label(labels([("endpoint", endpoint), ("method", method)]));
            metric.set_histogram(histogram(&total));
            durations.push(metric);
        }
        self.in_flight
            .set(i64::try_from(self.http.in_flight()).unwrap_or(i64::MAX));
        let mut families = vec![
            family(&self.requests, MetricType::COUNTER, requests),
            family(&self.durations, MetricType::HISTOGRAM, durations),
        ];
        families.extend(self.in_flight.collect());
        families
    }
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Vec<LabelPair> {
    pairs
        .into_iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        })
        .collect()
}

fn histogram(total: &Total) -> Histogram {
    let mut cumulative = 0;
    let buckets = BOUNDS.iter().zip(total.buckets).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(*bound));
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(total.buckets.iter().sum());
    histogram.set_sample_sum(seconds(total.nanoseconds));
    histogram
}

fn family(desc: &Desc, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are floating-point"
)]
fn float(number: u64) -> f64 {
    number as f64
}

/// Counts the requests of one worker, and must stay on its thread.
pub struct HttpObserver {
    http: Arc<Http>,
    shard: Arc<Shard>,
    /// The counts by status that it has met, by route and method. Few enough that a search from the
    /// front beats a hash.
    statuses: Box<[RefCell<Statuses>]>,
    _on_one_thread: PhantomData<Rc<()>>,
}

type Statuses = Vec<(u16, Arc<Count>)>;

impl HttpObserver {
    pub(crate) fn new(http: Arc<Http>) -> Self {
        Self {
            shard: http.shard(),
            statuses: std::iter::repeat_with(RefCell::default)
                .take(http.pairs())
                .collect(),
            http,
            _on_one_thread: PhantomData,
        }
    }

    fn count(&self, method: usize, outcome: &Outcome, nanoseconds: u64) {
        let pair = outcome.route.index() * METHODS.len() + method;
        let series = self.shard.series(pair);
        series.observe(nanoseconds);

        let status = outcome.status_code();
        let mut statuses = self.statuses[pair].borrow_mut();
        if let Some((_, count)) = statuses.iter().find(|(known, _)| *known == status) {
            count.add(1);
        } else {
            let count = series.status(status);
            count.add(1);
            statuses.push((status, count));
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
            self.shard.begun.add(1);
            method_index(req.method())
        });
    }

    fn end(&self, record: &mut Counted, _: &RequestContext, outcome: &Outcome) {
        let Some(method) = record.0 else {
            return;
        };
        let nanoseconds = nanoseconds(outcome.elapsed);
        self.count(method, outcome, nanoseconds);
        if nanoseconds > self.http.shutdown_timeout.load(Ordering::Relaxed) {
            self.http.outlasting.inc();
        }
        self.shard.ended.add(1);
    }
}

/// At most some 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
