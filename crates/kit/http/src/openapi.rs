//! `GET /openapi.json`: the contract for machines, put together from the endpoints themselves.
//!
//! Their parts are text: put together from values, they would be a tenth of a megabyte of code.

use actix_web::{HttpResponse, Responder, http::header, web};

use crate::{BuildInfo, Endpoint, Methods};

/// `GET /openapi.json`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/openapi.json",
    Methods::GET,
    || web::to(document),
    include_str!("../openapi/openapi.json"),
);

/// What every part may refer to.
const COMPONENTS: &str = include_str!("../openapi/components.json");

/// The document, put together once a worker.
pub struct Document(web::Bytes);

impl Document {
    /// The document of these endpoints.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], info: &BuildInfo) -> Self {
        let paths: Vec<_> = endpoints
            .iter()
            .map(|endpoint| format!("{}:{}", quoted(&endpoint.path), small(endpoint.openapi())))
            .collect();
        let document = format!(
            "{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":{},\"version\":{},\"license\":{}}},\
             \"servers\":[{{\"url\":\"/\"}}],\"paths\":{{{}}},\"components\":{}}}",
            quoted(&info.app),
            quoted(&info.version),
            r#"{"name":"MIT OR Apache-2.0","identifier":"MIT OR Apache-2.0"}"#,
            paths.join(","),
            small(COMPONENTS),
        );
        Self(document.into())
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Without the line breaks and indents that were for people.
fn small(json: &str) -> String {
    json.lines().map(str::trim).collect()
}

async fn document(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}
