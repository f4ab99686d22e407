//! `GET /api/v1/info`: what is running here.

use actix_web::{HttpResponse, Responder, web};
use berth_kit::{BuildInfo, Endpoint, Methods, NO_STORE};

/// `GET /api/v1/info`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/api/v1/info",
    Methods::GET,
    || web::to(info),
    include_str!("../openapi/info.json"),
);

async fn info(info: web::Data<BuildInfo>) -> impl Responder {
    HttpResponse::Ok().insert_header(NO_STORE).json(&info)
}
