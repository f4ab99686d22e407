//! What a service gives to the kit.

use std::{fmt, future::Future, sync::Arc};

use actix_web::web;
use berth_kit_health::Dependency;
use berth_kit_http::Endpoint;
use berth_kit_telemetry::prometheus::core::Collector;
use berth_kit_transport::StopSignal;

use crate::tasks::{Cleanup, Task};

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
    pub(crate) tasks: Vec<Task>,
    pub(crate) cleanups: Vec<Cleanup>,
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

    /// With a task beside the server, such as a worker that takes jobs from a queue.
    ///
    /// It begins when the server does, on a thread that serves no requests, and is told of the stop at the
    /// first signal: then it has `shutdown.drain_delay` and `shutdown.timeout` to end, and is named in the log
    /// where it does not. A task that fails or panics stops the service, which then ends with 1, so that
    /// whoever runs it starts it again.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_web::rt::time::timeout;
    /// use berth_kit::Service;
    ///
    /// let service = Service::new().task("mailer", |stop| async move {
    ///     // One round each minute, until the service stops.
    ///     while timeout(Duration::from_mins(1), stop.requested()).await.is_err() {
    ///         // …
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn task<F, A>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: FnOnce(StopSignal) -> A + Send + 'static,
        A: Future<Output = anyhow::Result<()>> + 'static,
    {
        self.tasks.push(Task::new(name.into(), task));
        self
    }

    /// With something to do at the very end, such as closing a pool: once no request is in flight and the
    /// tasks have ended, within the same `shutdown.timeout`; the last that was asked for comes first.
    pub fn on_stop(
        mut self,
        name: impl Into<String>,
        run: impl Future<Output = ()> + 'static,
    ) -> Self {
        self.cleanups.push(Cleanup {
            name: name.into(),
            run: Box::pin(run),
        });
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
