//! `GET /api/v1/info`: what is running here.

use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;

use crate::{Context, Endpoint, Methods};

/// `GET /api/v1/info`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/api/v1/info",
    Methods::GET,
    || web::to(info),
    include_str!("../openapi/info.json"),
);

/// What is running, from the build and the settings.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// `app.name`.
    pub app: String,
    /// `app.version`.
    pub version: String,
    /// The git commit that the binary was built from, or `unknown`.
    pub revision: String,
    /// `HOSTNAME`, else the system's: in Kubernetes, the pod's name.
    pub hostname: String,
    /// `app.environment`.
    pub env: String,
    /// The compiler's version.
    pub rustc: String,
    /// One sentence for people.
    pub message: String,
}

async fn info(context: web::Data<Context>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header(crate::NO_STORE)
        .json(&context.info)
}
