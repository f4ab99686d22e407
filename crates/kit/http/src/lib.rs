//! What every request passes.
//!
//! Whatever a service mounts with [`Routes`], and however, passes the [`Boundary`]: problem details for every
//! error, limits on bodies and targets, a net for panics, a time limit, 405 with `Allow`, HEAD with GET. Each
//! request has a [`RequestContext`] with its ids; [`Query`] and [`Valid`] refuse what is wrong with a reason;
//! the OpenAPI document follows from the types.
//!
//! This crate knows no endpoint of anybody's, no setting, no metric and no socket.

mod body;
mod boundary;
mod build_info;
pub mod duration;
mod groups;
pub mod ids;
mod limits;
mod mount;
mod objects;
mod observe;
mod observer;
pub mod openapi;
mod problem;
mod query;
mod request;
mod routes;
mod table;
mod timeout;
mod valid;

use actix_web::{HttpRequest, http::header, web};

pub use body::Limits;
pub use boundary::Boundary;
pub use build_info::BuildInfo;
pub use ids::{RequestId, TraceId};
pub use limits::RouteLimits;
pub use mount::{Documented, Mount, Scope, ServiceConfig, scope};
pub use observe::Observed;
pub use observer::{Observe, Outcome};
pub use problem::Problem;
pub use query::{Query, QueryError};
pub use request::{InRequest, RequestContext, in_request};
pub use routes::{Conflict, Routes, Survey};
pub use table::{Route, RouteId, RouteTable, UNMATCHED};
pub use timeout::Timeout;
pub use valid::Valid;

/// Answers that are true only now must not be kept by a cache on the way.
pub const NO_STORE: (header::HeaderName, header::HeaderValue) = (
    header::CACHE_CONTROL,
    header::HeaderValue::from_static("no-store"),
);

/// What an [`App`](actix_web::App) has before anything is mounted on it: what no route answers becomes a 404, a
/// known path with another method a 405 with `Allow`; and extractors collect bodies as large as the [`Boundary`]
/// lets through.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let any = usize::MAX;
    cfg.app_data(web::PayloadConfig::new(any))
        .app_data(web::JsonConfig::default().limit(any))
        .app_data(web::FormConfig::default().limit(any))
        .default_service(web::to(no_route));
}

async fn no_route(req: HttpRequest, request: RequestContext) -> Problem {
    boundary::no_such_method_or_path(&request, req.method())
}
