//! What a service gives to the kit beside its routes.

use std::{fmt, future::Future};

use berth_kit_health::Dependency;
use berth_kit_settings::ServiceName;
use berth_kit_telemetry::prometheus::core::Collector;
use berth_kit_transport::StopToken;

use crate::tasks::{Cleanup, Task};

/// What the binary was built from; made by [`build_info!`](crate::build_info).
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// What the service is called: on its command line, in its variables, and as `app.name` by default.
    pub name: ServiceName,
    /// The package's version.
    pub version: &'static str,
    /// The git commit, or `unknown`.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

/// What the calling crate was built from; the service is called as its package is. Its build script sets
/// `BUILD_REVISION` and `BUILD_RUSTC`.
#[macro_export]
macro_rules! build_info {
    () => {
        $crate::Build {
            // Constant, so that a name that will not do is an error of the compiler.
            name: const { $crate::ServiceName::new(env!("CARGO_PKG_NAME")) },
            version: env!("CARGO_PKG_VERSION"),
            revision: env!(
                "BUILD_REVISION",
                "the build script of this crate must set BUILD_REVISION, the git commit"
            ),
            rustc: env!(
                "BUILD_RUSTC",
                "the build script of this crate must set BUILD_RUSTC, the compiler's version"
            ),
        }
    };
}

/// What a service is made of beside its routes; `build` gets it, and adds to it.
#[derive(Default)]
pub struct Runtime {
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) metrics: Vec<Box<dyn Collector>>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) cleanups: Vec<Cleanup>,
}

impl Runtime {
    /// Ready only while this is there, beside what the settings name. Its check is asked in the background.
    ///
    /// ```
    /// # use berth_kit::{Dependency, Runtime};
    /// # fn build(runtime: &mut Runtime) {
    /// runtime.readiness(Dependency::new("warehouse", async || {
    ///     // Ask it; an error says why it is missing.
    ///     Ok(())
    /// }));
    /// # }
    /// ```
    pub fn readiness(&mut self, dependency: Dependency) {
        self.dependencies.push(dependency);
    }

    /// A metric of the service's own in the exposition.
    pub fn metric(&mut self, metric: impl Collector + 'static) {
        self.metrics.push(Box::new(metric));
    }

    /// A task beside the server, such as a worker that takes jobs from a queue.
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
    /// use berth_kit::Runtime;
    ///
    /// # fn build(runtime: &mut Runtime) {
    /// runtime.task("mailer", |stop| async move {
    ///     // One round each minute, until the service stops.
    ///     while timeout(Duration::from_mins(1), stop.requested()).await.is_err() {
    ///         // …
    ///     }
    ///     Ok(())
    /// });
    /// # }
    /// ```
    pub fn task<F, A>(&mut self, name: impl Into<String>, task: F)
    where
        F: FnOnce(StopToken) -> A + Send + 'static,
        A: Future<Output = anyhow::Result<()>> + 'static,
    {
        self.tasks.push(Task::new(name.into(), task));
    }

    /// Something to do at the very end, such as closing a pool: once no request is in flight and the tasks have
    /// ended, within the same `shutdown.timeout`; the last that was asked for comes first.
    pub fn on_stop(&mut self, name: impl Into<String>, run: impl Future<Output = ()> + 'static) {
        self.cleanups.push(Cleanup {
            name: name.into(),
            run: Box::pin(run),
        });
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("dependencies", &self.dependencies)
            .finish_non_exhaustive()
    }
}
