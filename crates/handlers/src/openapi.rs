//! `GET /openapi.json`: the contract for machines, put together from the endpoints themselves.

use actix_web::{HttpResponse, Responder, http::header, web};
use serde_json::{Map, Value, json};

use crate::{Endpoint, Info, Methods};

/// `GET /openapi.json`
pub const ENDPOINT: Endpoint =
    Endpoint::new("/openapi.json", Methods::GET, || web::to(document), docs);

/// The document, rendered once a worker.
pub(crate) struct Document(web::Bytes);

impl Document {
    pub(crate) fn new(endpoints: &[Endpoint], info: &Info) -> Self {
        let paths: Map<_, _> = endpoints
            .iter()
            .map(|endpoint| (endpoint.path.to_string(), endpoint.openapi()))
            .collect();
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": info.app,
                "version": info.version,
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
            },
            "servers": [{ "url": "/" }],
            "paths": paths,
            "components": {
                "responses": { "Problem": {
                    "description": "What is wrong, under its true status",
                    "content": { "application/problem+json": {
                        "schema": { "$ref": "#/components/schemas/Problem" }
                    } }
                } },
                "schemas": { "Problem": {
                    "description": "RFC 9457 problem details",
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": { "type": "string", "format": "uri-reference", "default": "about:blank" },
                        "title": { "type": "string" },
                        "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                        "detail": { "type": "string" }
                    }
                } }
            }
        });
        Self(web::Bytes::from(document.to_string()))
    }
}

/// A response with a JSON body of this schema.
#[must_use]
pub fn json_response(description: &str, schema: &Value) -> Value {
    response(description, "application/json", schema)
}

/// A response with a body of this media type and schema.
#[must_use]
pub fn response(description: &str, media_type: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { media_type: { "schema": schema } } })
}

/// The problem+json response that every operation may give.
#[must_use]
pub fn problem() -> Value {
    json!({ "$ref": "#/components/responses/Problem" })
}

async fn document(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}

fn docs() -> Value {
    json!({ "get": {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {
            "200": json_response("OpenAPI 3.1", &json!({ "type": "object" })),
            "default": problem()
        }
    } })
}
