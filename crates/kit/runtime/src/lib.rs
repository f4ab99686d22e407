//! What a service stands on.
//!
//! A service is its endpoints, what they share, what it needs to be ready, and its metrics: a [`Service`].
//! [`run`] does the rest: command line, settings, logs, metrics, probes, connections, and a stop that loses
//! nothing.
//!
//! ```no_run
//! use actix_web::{Responder, web};
//! use berth_kit::{Endpoint, Methods, Service};
//!
//! const HELLO: Endpoint = Endpoint::new("/hello", Methods::GET, || web::to(hello), r#"{ "get": {
//!   "operationId": "hello",
//!   "responses": { "200": { "description": "A greeting" } }
//! } }"#);
//!
//! async fn hello() -> impl Responder {
//!     "Hello!"
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     # macro_rules! build { () => { berth_kit::Build { version: "1", revision: "", rustc: "" } } }
//!     # let build = build!();
//!     berth_kit::run(build, |_settings| async { Ok(Service::new().endpoints([HELLO])) })
//! }
//! ```

mod allocator;
mod app;
mod cli;
mod descriptors;
mod healthcheck;
mod lifecycle;
mod management;
mod ports;
mod refusals;
mod reload;
mod service;
mod shutdown;
mod signals;
mod starting;
mod tasks;

use std::{future::Future, mem::ManuallyDrop, process::ExitCode};

use actix_rt::System;

pub use anyhow::Result;
pub use berth_kit_health::Dependency;
pub use berth_kit_http::{
    BuildInfo, Endpoint, Methods, NO_STORE, Problem, Query, QueryError, duration,
};
pub use berth_kit_settings::Settings;
pub use berth_kit_telemetry::{log::in_request, prometheus};
pub use berth_kit_transport::StopSignal;
pub use service::{Build, Service};

/// Runs the service to its end, and says how that went.
///
/// `make` builds the service, by the settings, once they hold and the port is bound. It may take as long as it
/// takes to connect and to migrate, as long as it does not block its thread: meanwhile `/health` is 200, `/ready`
/// is 503, and a signal ends the process.
pub fn run<F, A>(build: Build, make: F) -> ExitCode
where
    F: FnOnce(Settings) -> A,
    A: Future<Output = Result<Service>>,
{
    // Never dropped: that would wait for what blocks a thread beside it, such as a resolver without an
    // answer or a file system that hangs, and no signal would end the process.
    let system = ManuallyDrop::new(System::new());
    system.block_on(cli::run(build, make))
}
