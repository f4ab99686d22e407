//! `GET /api/v1/info`: what is running here.

use actix_web::{HttpResponse, Responder, get, web};
use berth_kit::{BuildInfo, NO_STORE};

/// What is running
#[utoipa::path(responses((status = 200, description = "What is running", body = BuildInfo)))]
#[get("/api/v1/info")]
pub async fn info(info: web::Data<BuildInfo>) -> impl Responder {
    HttpResponse::Ok().insert_header(NO_STORE).json(&info)
}
