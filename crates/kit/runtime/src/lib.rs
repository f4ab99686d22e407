//! What a service stands on.
//!
//! A service is its [`Routes`], and what it gives to the [`Runtime`]: what it needs to be ready, its metrics, its
//! tasks, what is to be closed at the end. [`run`] does the rest: command line, settings, logs, metrics, probes,
//! connections, and a stop that loses nothing.
//!
//! ```no_run
//! use actix_web::{Responder, get};
//! use berth_kit::{Result, Routes, Runtime, Settings};
//!
//! /// Greets
//! #[utoipa::path(responses((status = 200, body = String)))]
//! #[get("/hello")]
//! async fn hello() -> impl Responder {
//!     "Hello!"
//! }
//!
//! async fn build(_settings: Settings, _runtime: &mut Runtime) -> Result<Routes> {
//!     Ok(Routes::new(|cfg| {
//!         cfg.service(hello);
//!     }))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     # let name = berth_kit::ServiceName::new("shop");
//!     # let info = berth_kit::Build { name, version: "1", revision: "", rustc: "" };
//!     # /*
//!     berth_kit::run(berth_kit::build_info!(), build)
//!     # */
//!     # berth_kit::run(info, build)
//! }
//! ```

mod allocator;
mod app;
mod cli;
mod console;
mod devtools;
mod lifecycle;
mod logging;
mod management;
mod ports;
mod reload;
mod running;
mod runtime;
mod tasks;

use std::{mem::ManuallyDrop, process::ExitCode};

use actix_rt::System;

/// WebSocket, in the version that fits.
pub use actix_ws;
/// For errors of a service's own: `use berth_kit::anyhow::Context as _`.
pub use anyhow;
pub use anyhow::Result;
pub use berth_kit_health::Dependency;
pub use berth_kit_http::{
    BuildInfo, Conflict, InRequest, Mount, NO_STORE, Problem, Query, QueryError, RequestContext,
    RouteLimits, Routes, Scope, ServiceConfig, Survey, Valid, duration, in_request, scope,
};
pub use berth_kit_settings::reference as settings_reference;
pub use berth_kit_settings::{Secret, SecretUrl, Sections, ServiceName, ServiceSettings, Settings};
pub use berth_kit_telemetry::prometheus;
pub use berth_kit_transport::StopToken;
pub use runtime::{Build, Runtime};

/// The OpenAPI document that a service with these routes answers `/openapi.json` with on its public port, with these
/// variables in its environment and nothing else. Nothing is built and nothing connected to, so it needs nothing that the
/// service does. Not for async code.
///
/// A service has a test that compares its `openapi.json` with it.
///
/// ```
/// use berth_kit::{Routes, openapi};
///
/// # let name = berth_kit::ServiceName::new("shop");
/// # let info = berth_kit::Build { name, version: "1", revision: "", rustc: "" };
/// # /*
/// let info = berth_kit::build_info!();
/// # */
/// let document = openapi(info, Routes::new(|_| ()), &[("SHOP__METRICS__PATH", "/scrape")])?;
/// assert!(document["paths"]["/scrape"].is_object());
/// # Ok::<(), berth_kit::anyhow::Error>(())
/// ```
///
/// # Errors
///
/// When the variables are no settings, or the routes contradict each other.
pub fn openapi(
    info: Build,
    routes: Routes,
    environment: &[(&str, &str)],
) -> Result<serde_json::Value> {
    System::new().block_on(app::openapi(info, routes, environment))
}

/// Runs the service to its end, and says how that went.
///
/// `S` is [`Settings`], or a type of the service's own that has sections beside Berth's; see [`ServiceSettings`].
///
/// `build` builds the service, by the settings, once they hold and the port is bound. It may take as long as it
/// takes to connect and to migrate, as long as it does not block its thread: meanwhile `/health` is 200, `/ready`
/// is 503, and a signal ends the process.
pub fn run<S: ServiceSettings + Send + 'static>(
    info: Build,
    build: impl AsyncFnOnce(S, &mut Runtime) -> Result<Routes>,
) -> ExitCode {
    // Never dropped: that would wait for what blocks a thread beside it, such as a resolver without an
    // answer or a file system that hangs, and no signal would end the process.
    let system = ManuallyDrop::new(System::new());
    system.block_on(cli::run(info, build))
}
