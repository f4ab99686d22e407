//! The HTTP contract of Berth: routes, payloads, problem+json errors and the state behind the probes.
//!
//! Every endpoint is one [`Endpoint`] in a module of its own. The router, the `Allow` header of a
//! 405, the metrics label and `/openapi.json` all come from that one declaration, so they cannot
//! disagree. To add an endpoint: write its module, then add its line to [`endpoints`].
//!
//! This crate knows no signal, no socket, no settings file and no metric; the server hands it what
//! it needs.

pub mod debug;
pub mod duration;
mod endpoint;
mod guard;
pub mod health;
pub mod hello;
pub mod info;
mod limits;
pub mod openapi;
mod problem;
mod query;
pub mod readiness;
mod timeout;
pub mod timestamp;

use std::sync::Arc;

use actix_web::{http::header, web};

pub use endpoint::{Endpoint, Methods};
pub use health::Health;
pub use info::Info;
pub use limits::Limits;
pub use problem::Problem;
pub use query::{Query, QueryError};
pub use readiness::Dependency;
pub use timeout::Timeout;

/// Answers that are true only now must not be kept by a cache on the way.
pub const NO_STORE: (header::HeaderName, header::HeaderValue) = (
    header::CACHE_CONTROL,
    header::HeaderValue::from_static("no-store"),
);

/// What the handlers need from the server, shared by all workers.
#[derive(Debug)]
pub struct Context {
    /// Liveness and readiness, moved on by the lifecycle.
    pub health: Arc<Health>,
    /// What `/api/v1/info` says.
    pub info: Info,
    /// How long a handler may take before its answer starts.
    pub request_timeout: Timeout,
    /// The largest request body that an extractor will collect, in bytes.
    pub max_body_bytes: usize,
}

/// Every endpoint of the contract; with `debug`, the debug routes too.
#[must_use]
pub fn endpoints(debug: bool) -> Vec<Endpoint> {
    let mut endpoints = vec![
        // The router tries them in this order: first what users ask for.
        hello::ENDPOINT,
        info::ENDPOINT,
        health::LIVENESS,
        health::READINESS,
        openapi::ENDPOINT,
        // A pattern costs the router more than a plain path.
        health::DEPENDENCY,
    ];
    if debug {
        endpoints.extend(debug::ENDPOINTS);
    }
    endpoints
}

/// What the handlers need to be ready, beside what the settings name: a [`Dependency`] each.
#[must_use]
pub fn dependencies() -> Vec<Dependency> {
    Vec::new()
}

/// Mounts `endpoints` on an [`App`](actix_web::App), with the state that they share.
///
/// What no endpoint answers becomes a 404, a known path with another method a 405 with `Allow`.
pub fn configure(
    cfg: &mut web::ServiceConfig,
    endpoints: &[Endpoint],
    context: &web::Data<Context>,
) {
    let limit = context.max_body_bytes;
    cfg.app_data(context.clone())
        .app_data(web::Data::new(openapi::Document::new(
            endpoints,
            &context.info,
        )))
        .app_data(web::PayloadConfig::new(limit))
        .app_data(web::JsonConfig::default().limit(limit))
        .app_data(web::FormConfig::default().limit(limit));
    for endpoint in endpoints {
        endpoint.mount(cfg, &context.request_timeout);
    }
    cfg.default_service(web::to(problem::not_found));
}
