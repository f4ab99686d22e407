//! What every request passes.
//!
//! Problem details for every error, limits on bodies and targets, a net for panics and a time limit around
//! each handler, 405 with `Allow`, request and trace ids, strict queries, and the OpenAPI document. An
//! [`Endpoint`] declares where it is, what it answers to and how it is documented; all of this follows from
//! that.
//!
//! This crate knows no endpoint of anybody's, no setting, no metric and no socket.

mod build_info;
pub mod context;
pub mod duration;
mod endpoint;
mod guard;
mod limits;
mod observe;
mod observer;
pub mod openapi;
mod problem;
mod query;
mod resource;
mod routes;
mod timeout;

use actix_web::{http::header, web};

pub use build_info::BuildInfo;
pub use context::{RequestId, TraceId};
pub use endpoint::{Endpoint, Methods};
pub use limits::Limits;
pub use observe::Observed;
pub use observer::{Observe, Outcome};
pub use problem::Problem;
pub use query::{Query, QueryError};
pub use resource::{Conflict, Resource};
pub use routes::{Known, Route, RouteId, Routes, UNMATCHED};
pub use timeout::Timeout;

/// Answers that are true only now must not be kept by a cache on the way.
pub const NO_STORE: (header::HeaderName, header::HeaderValue) = (
    header::CACHE_CONTROL,
    header::HeaderValue::from_static("no-store"),
);

/// Mounts `resources` on an [`App`](actix_web::App): each behind its time limit and a net for panics, and
/// with `/openapi.json` where that is among them.
///
/// What no endpoint answers becomes a 404, a known path with another method a 405 with `Allow`. Extractors
/// collect bodies as large as `limits` allow.
pub fn configure(
    cfg: &mut web::ServiceConfig,
    resources: &[Resource],
    document: &web::Data<openapi::Document>,
    limits: &Limits,
) {
    let largest = limits.max_body_bytes;
    cfg.app_data(document.clone())
        .app_data(web::PayloadConfig::new(largest))
        .app_data(web::JsonConfig::default().limit(largest))
        .app_data(web::FormConfig::default().limit(largest));
    for resource in resources {
        resource.mount(cfg, &limits.body_timeout);
    }
    cfg.default_service(web::to(problem::not_found));
}
