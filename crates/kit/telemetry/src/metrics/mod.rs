//! The metrics of Berth: what is measured, under which names and labels, and how it is exposed.
//!
//! | name | type | labels |
//! |---|---|---|
//! | `api_requests_total` | counter | `method`, `endpoint`, `status` |
//! | `api_request_duration_seconds` | histogram | `method`, `endpoint` |
//! | `api_requests_in_flight` | gauge | |
//! | `api_requests_shed_total` | counter | `reason` |
//! | `berth_build_info` | gauge, always 1 | `version`, `revision`, `rustc` |
//! | `berth_ready` | gauge, 0 or 1 | |
//! | `berth_panics_total` | counter | |
//! | `berth_open_connections`, `berth_connections_max` | gauge | |
//! | `berth_connections_evicted_total` | counter | `reason` |
//! | `berth_requests_outlasting_shutdown_total` | counter | |
//! | `berth_memory_limit_bytes` | gauge, Linux only | |
//! | `process_*` | Linux only | |
//!
//! `endpoint` is a route's pattern and never a URL, `method` one of ten names, `status` what the
//! handlers can answer: the number of series has a bound that the code sets and no client can move.
//!
//! This crate knows routes by their patterns only; the server tells it which there are.

mod memory;
mod overload;
mod requests;

use std::{mem, sync::Arc, time::Duration};

use actix_web::{HttpResponse, Resource, ResponseError, http::header, web};
use berth_kit_http::{RouteTable, ServiceConfig};
use prometheus::{
    IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use utoipa::OpenApi;

pub use requests::HttpObserver;

use overload::Overload;
use requests::Http;

/// A metric cannot be registered or written out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One cannot be registered.
    #[error(
        "the metric {name} cannot be registered: {source}; each needs a name that no other one has"
    )]
    Registration {
        /// Its name.
        name: String,
        /// Why not.
        source: prometheus::Error,
    },
    /// Another fault, such as a name that is none.
    #[error("metrics: {0}")]
    Other(#[from] prometheus::Error),
}

impl ResponseError for Error {}

/// What `berth_build_info` says.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// `app.version`.
    pub version: &'a str,
    /// The git commit, or `unknown`.
    pub revision: &'a str,
    /// The compiler's version.
    pub rustc: &'a str,
}

/// The registry and the metrics in it, shared by all workers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http: Arc<Http>,
    panics: IntCounter,
    overload: Overload,
}

impl Metrics {
    /// Registers every metric, the ones of the known routes at 0. Requests that take longer than
    /// `shutdown_timeout` are counted apart: they are the ones that a stop cuts off.
    ///
    /// # Errors
    ///
    /// When two metrics have one name, which would be a mistake in this crate.
    pub fn new(
        build: Build<'_>,
        table: Arc<RouteTable>,
        shutdown_timeout: Duration,
    ) -> Result<Self, Error> {
        let registry = Registry::new();
        let http = Http::new(&registry, table, shutdown_timeout)?;

        let info = IntGaugeVec::new(
            Opts::new(
                "berth_build_info",
                "What is running; the value is always 1.",
            ),
            &["version", "revision", "rustc"],
        )?;
        info.with_label_values(&[build.version, build.revision, build.rustc])
            .set(1);
        let panics = IntCounter::new(
            "berth_panics_total",
            "Panics that were caught; each is in the log.",
        )?;

        let metrics = Self {
            registry,
            http,
            panics,
            overload: Overload::new()?,
        };
        metrics.register(metrics.overload.shed.clone())?;
        metrics.register(metrics.overload.evicted.clone())?;
        metrics.register(info)?;
        metrics.register(metrics.panics.clone())?;
        #[cfg(target_os = "linux")]
        metrics.register(prometheus::process_collector::ProcessCollector::for_self())?;
        metrics.register(memory::MemoryLimit::new()?)?;
        Ok(metrics)
    }

    /// Adds a metric of your own to the exposition.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use berth_kit_http::{RouteTable, ServiceConfig};
    /// # use berth_kit_telemetry::{metrics::{Build, Metrics}, prometheus::IntCounter};
    /// # let build = Build { version: "1", revision: "unknown", rustc: "unknown" };
    /// # let metrics = Metrics::new(build, RouteTable::of([]).into(), Duration::MAX)?;
    /// let orders = IntCounter::new("shop_orders_total", "Orders that were taken.")?;
    /// metrics.register(orders.clone())?;
    /// orders.inc();
    /// assert!(metrics.encode()?.contains("shop_orders_total 1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When its name is taken.
    pub fn register(&self, metric: impl Collector + 'static) -> Result<(), Error> {
        self.register_boxed(Box::new(metric))
    }

    /// As [`register`](Self::register), for what is in a box already.
    ///
    /// # Errors
    ///
    /// When its name is taken.
    pub fn register_boxed(&self, metric: Box<dyn Collector>) -> Result<(), Error> {
        let names: Vec<_> = metric
            .desc()
            .iter()
            .map(|desc| &desc.fq_name)
            .cloned()
            .collect();
        self.registry.register(metric).map_err(|source| {
            let name = names.join(", ");
            Error::Registration { name, source }
        })
    }

    /// Makes the observer that counts the requests of one worker.
    #[must_use]
    pub fn http_observer(&self) -> HttpObserver {
        HttpObserver::new(Arc::clone(&self.http))
    }

    /// Adds `berth_ready`, which is asked for at each scrape.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn register_ready(
        &self,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let gauge = IntGauge::new("berth_ready", "1 while /ready answers 200, else 0.")?;
        let value = move || i64::from(ready());
        self.register(Asked { gauge, value })
    }

    /// Adds `berth_open_connections`, which is asked for at each scrape, and `berth_connections_max`.
    ///
    /// # Errors
    ///
    /// When they are there already.
    pub fn register_connections(
        &self,
        open: impl Fn() -> usize + Send + Sync + 'static,
        max: usize,
    ) -> Result<(), Error> {
        let gauge = IntGauge::new(
            "berth_open_connections",
            "Connections of clients that are open; those of the management port are not counted.",
        )?;
        let value = move || i64::try_from(open()).unwrap_or(i64::MAX);
        self.register(Asked { gauge, value })?;
        let gauge = IntGauge::new(
            "berth_connections_max",
            "How many connections of clients may be open: server.max_connections, or what descriptors and memory allow.",
        )?;
        gauge.set(i64::try_from(max).unwrap_or(i64::MAX));
        self.register(gauge)
    }

    /// Adds `berth_max_in_flight`, which is asked for at each scrape.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn register_max_in_flight(
        &self,
        max: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let gauge = IntGauge::new(
            "berth_max_in_flight",
            "How many requests may be in flight: server.max_in_flight, or what its \"auto\" has found.",
        )?;
        let value = move || i64::try_from(max()).unwrap_or(i64::MAX);
        self.register(Asked { gauge, value })
    }

    /// Requests that take longer than `timeout` are counted apart from now on.
    pub fn set_shutdown_timeout(&self, timeout: Duration) {
        self.http.set_shutdown_timeout(timeout);
    }

    /// Counts a request that was refused for this reason: `memory` or `in_flight`.
    pub fn shed(&self, reason: &str) {
        self.overload.shed.with_label_values(&[reason]).inc();
    }

    /// Counts a connection that was closed for this reason: `connections` or `memory`.
    pub fn evicted(&self, reason: &str) {
        self.overload.evicted.with_label_values(&[reason]).inc();
    }

    /// Counts a caught panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts what was answered with this status and had not become a request: no HTTP, or a head that
    /// came too late or was too large. Its endpoint is `unmatched`, its method `other`.
    pub fn refused(&self, status: u16) {
        self.http.refused(status);
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    ///
    /// When a registered metric breaks the format, such as one without a name.
    pub fn encode(&self) -> Result<String, Error> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// A gauge whose value is found at each scrape.
struct Asked<F> {
    gauge: IntGauge,
    value: F,
}

impl<F: Fn() -> i64 + Send + Sync> Collector for Asked<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set((self.value)());
        self.gauge.collect()
    }
}

/// Mounts the exposition at `path`.
pub fn routes(path: &str, cfg: &mut ServiceConfig<'_>) {
    let mut openapi = Docs::openapi();
    let documented = mem::take(&mut openapi.paths.paths);
    openapi.paths.paths = documented
        .into_values()
        .map(|item| (path.to_owned(), item))
        .collect();
    let get = |resource: Resource| resource.route(web::get().to(exposition));
    cfg.resource(path, get, openapi);
}

#[derive(OpenApi)]
#[openapi(paths(exposition))]
struct Docs;

/// The metrics, for Prometheus
///
/// A failure is a 500, so that the scrape counts as failed.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain"))
)]
async fn exposition(metrics: web::Data<Metrics>) -> Result<HttpResponse, Error> {
    let text = metrics
        .encode()
        .inspect_err(|error| log::error!("{error}"))?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        ))
        .body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_metrics_of_one_name_are_refused_with_it() {
        let build = Build {
            version: "1",
            revision: "",
            rustc: "",
        };
        let metrics = Metrics::new(build, RouteTable::of([]).into(), Duration::MAX).unwrap();
        let orders = || IntCounter::new("orders_total", "Orders.").unwrap();
        metrics.register(orders()).unwrap();
        let error = metrics.register(orders()).unwrap_err().to_string();
        assert!(
            error.contains("the metric orders_total cannot be registered"),
            "{error}"
        );
    }
}
