//! What every request passes.
//!
//! Whatever a service mounts with [`Routes`], and however, passes the [`Boundary`]: problem details for every
//! error, limits on bodies and targets, a net for panics, a time limit, 405 with `Allow`, HEAD with GET. Each
//! request has a [`RequestContext`] with its ids; [`Query`] and [`Valid`] refuse what is wrong with a reason;
//! the OpenAPI document follows from the types.
//!
//! This crate knows no endpoint of anybody's, no setting, no metric and no socket. A service uses it through
//! `berth-kit`, which stands the [`Boundary`] around what it mounts.
//!
//! ```
//! use actix_web::{HttpResponse, get};
//! use berth_kit_http::{Problem, Query, Routes};
//! use serde::Deserialize;
//! use utoipa::IntoParams;
//!
//! #[derive(Deserialize, IntoParams)]
//! struct Page {
//!     /// How many, 1 to 100.
//!     limit: u32,
//! }
//!
//! /// Orders, page by page
//! #[utoipa::path(params(Page), responses((status = 200, body = Vec<u32>), (status = 400, response = Problem)))]
//! #[get("/orders")]
//! async fn list(Query(Page { limit }): Query<Page>) -> Result<HttpResponse, Problem> {
//!     if !(1..=100).contains(&limit) {
//!         return Err(Problem::bad_request("'limit' must be from 1 to 100"));
//!     }
//!     Ok(HttpResponse::Ok().json((0..limit).collect::<Vec<_>>()))
//! }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), berth_kit_http::Conflict> {
//! let routes = Routes::new(|cfg| {
//!     cfg.service(list);
//! });
//! // Which there are, and that no two are in each other's way.
//! let survey = routes.survey().await?;
//! assert_eq!(survey.undocumented(), [""; 0]);
//! # Ok(())
//! # }
//! ```

mod body;
mod boundary;
mod build_info;
mod client;
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
pub use client::TrustedProxies;
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
