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

mod boundary;
mod build_info;
pub mod duration;
mod extract;
pub mod openapi;
mod problem;
mod request;
mod routing;
mod table;
mod temporary;

use actix_web::{HttpRequest, web};

pub use boundary::{
    Boundary,
    body::Limits,
    limits::RouteLimits,
    shedding::{AdaptiveLimits, ShedReason, Shedding},
    timeout::Timeout,
};
pub use build_info::BuildInfo;
pub use extract::{
    query::{Query, QueryError},
    valid::Valid,
};
pub use problem::{NO_STORE, Problem};
pub use request::{
    client::TrustedProxies,
    context::{InRequest, RequestContext, in_request},
    ids::{self, RequestId, TraceId},
    observe::Observed,
    observer::{Observe, Outcome},
};
pub use routing::{
    documented::Documented,
    mount::{Mount, ServiceConfig},
    routes::Routes,
    scope::{Scope, scope},
    survey::{Conflict, Survey},
};
pub use table::{Route, RouteId, RouteTable, UNMATCHED};
pub use temporary::{Temporary, Until};

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
