//! `GET /api/v1/info`: what is running here.

use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Context, Endpoint, Methods, openapi};

/// `GET /api/v1/info`
pub const ENDPOINT: Endpoint = Endpoint::new("/api/v1/info", Methods::GET, || web::to(info), docs);

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

fn docs() -> Value {
    let members = [
        "app", "version", "revision", "hostname", "env", "rustc", "message",
    ];
    let properties: serde_json::Map<_, _> = members
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "type": "string" })))
        .collect();
    let info = json!({
        "type": "object",
        "required": members,
        "additionalProperties": false,
        "properties": properties
    });
    json!({ "get": {
        "operationId": "info",
        "summary": "What is running here",
        "responses": {
            "200": openapi::json_response("From the build and the settings", &info),
            "default": openapi::problem()
        }
    } })
}
