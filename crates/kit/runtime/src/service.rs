//! What a service gives to the kit.

use std::{fmt, sync::Arc};

use actix_web::web;
use berth_kit_health::Dependency;
use berth_kit_http::Endpoint;
use berth_kit_telemetry::prometheus::core::Collector;

/// What the binary was built from; made by [`build_info!`](crate::build_info).
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The package's version.
    pub version: &'static str,
    /// The git commit, or `unknown`.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

/// What the calling crate was built from. Its build script sets `BERTH_REVISION` and `BERTH_RUSTC`.
#[macro_export]
macro_rules! build_info {
    () => {
        $crate::Build {
            version: env!("CARGO_PKG_VERSION"),
            revision: env!("BERTH_REVISION"),
            rustc: env!("BERTH_RUSTC"),
        }
    };
}

/// Hands state to an `App`.
pub(crate) type Configure = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// What a service is made of.
#[must_use = "a service does nothing until it is run"]
#[derive(Default)]
pub struct Service {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) metrics: Vec<Box<dyn Collector>>,
    pub(crate) data: Vec<Configure>,
}

impl Service {
    /// A service without an endpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these endpoints. The router tries them in this order, before those of the kit.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints.extend(endpoints);
        self
    }

    /// With state that handlers take as `web::Data<T>`, one for all workers.
    pub fn data<T: Send + Sync + 'static>(mut self, data: T) -> Self {
        let data = web::Data::new(data);
        self.data.push(Arc::new(move |cfg| {
            cfg.app_data(data.clone());
        }));
        self
    }

    /// Ready only while this is there, beside what the settings name.
    pub fn dependency(mut self, dependency: Dependency) -> Self {
        self.dependencies.push(dependency);
        self
    }

    /// With a metric of its own in the exposition.
    pub fn metric(mut self, metric: impl Collector + 'static) -> Self {
        self.metrics.push(Box::new(metric));
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("endpoints", &self.endpoints)
            .field("dependencies", &self.dependencies)
            .finish_non_exhaustive()
    }
}
