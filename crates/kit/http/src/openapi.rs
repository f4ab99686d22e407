//! `GET /openapi.json`: the contract for machines, put together from the endpoints themselves.

use actix_web::{HttpResponse, Responder, http::header, web};
use serde_json::{Map, Value, json};

use crate::{BuildInfo, Endpoint, Methods, Resource};

/// `GET /openapi.json`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/openapi.json",
    Methods::GET,
    || web::to(document),
    include_str!("../openapi/openapi.json"),
);

/// What every part may refer to.
const COMPONENTS: &str = include_str!("../openapi/components.json");

/// The document of a port.
#[derive(Debug)]
pub struct Document(web::Bytes);

/// What documents an endpoint is no JSON object.
#[derive(Debug, thiserror::Error)]
#[error("the OpenAPI documentation of {path} is no JSON object of operations: {source}")]
pub struct Error {
    path: String,
    source: serde_json::Error,
}

impl Document {
    /// The document of these resources.
    ///
    /// # Errors
    ///
    /// When what documents one of them is no JSON object.
    pub fn new(resources: &[Resource], info: &BuildInfo) -> Result<Self, Error> {
        let error = |path: &str| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        let mut paths = Map::new();
        for resource in resources {
            let path = resource.path().as_ref();
            paths.insert(path.to_owned(), resource.openapi().map_err(error(path))?);
        }
        let components: Value =
            serde_json::from_str(COMPONENTS).map_err(error("the components"))?;
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": info.app,
                "version": info.version,
                "license": {
                    "name": "MIT OR Apache-2.0",
                    "identifier": "MIT OR Apache-2.0",
                },
            },
            "servers": [{ "url": "/" }],
            "paths": paths,
            "components": components,
        });
        Ok(Self(document.to_string().into()))
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

async fn document(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}
