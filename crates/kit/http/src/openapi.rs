//! `GET /openapi.json`: the contract for machines, put together from the handlers' own documentation.

use std::collections::HashMap;

use actix_web::{HttpResponse, Responder, get, http::header, web};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToResponse, ToSchema,
    openapi::{
        ComponentsBuilder, Content, Info, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Response,
        ResponseBuilder, Schema, Server, path::HttpMethod,
    },
};

use crate::{BuildInfo, Problem, ServiceConfig, Survey, mount::Documentation};

/// The document of a port.
#[derive(Debug)]
pub struct Document(web::Bytes);

/// The documentation of the handlers cannot be written down.
#[derive(Debug, thiserror::Error)]
#[error("the OpenAPI document cannot be written: {0}")]
pub struct Error(#[from] serde_json::Error);

impl Document {
    /// The document of what is mounted. Each operation has problem details as its `default` response, unless it
    /// says itself what else it answers.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON.
    pub fn new(survey: &Survey, info: &BuildInfo) -> Result<Self, Error> {
        let mut paths = Paths::new();
        let operations = &survey.documented.operations;
        let ids = OperationIds::new(operations);
        for known in operations {
            let mut operation = known.operation.clone();
            operation.operation_id = ids.of(known);
            let default = RefOr::Ref(Ref::from_response_name(PROBLEM));
            let responses = &mut operation.responses.responses;
            responses.entry("default".to_owned()).or_insert(default);
            let item = PathItem::new(known.method.clone(), operation);
            match paths.paths.get_mut(&known.path) {
                Some(path) => path.merge_operations(item),
                None => drop(paths.paths.insert(known.path.clone(), item)),
            }
        }
        let components = ComponentsBuilder::new()
            .schema(PROBLEM, Problem::schema())
            .schemas_from_iter(survey.documented.schemas.iter().cloned())
            .response(PROBLEM, problem())
            .build();
        let document = OpenApiBuilder::new()
            .info(Info::new(info.app.as_str(), info.version.as_str()))
            .servers(Some([Server::new("/")]))
            .paths(paths)
            .components(Some(components))
            .build();
        Ok(Self(document.to_json()?.into()))
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An operation id is one operation's: what answers several methods, or is mounted at several paths, has several.
#[derive(Default)]
struct OperationIds<'a> {
    all: HashMap<&'a str, usize>,
    by_method: HashMap<(&'a str, &'static str), usize>,
}

impl<'a> OperationIds<'a> {
    fn new(operations: &'a [Documentation]) -> Self {
        let mut ids = Self::default();
        for known in operations {
            if let Some(id) = known.operation.operation_id.as_deref() {
                let method = method_name(&known.method);
                *ids.all.entry(id).or_default() += 1;
                *ids.by_method.entry((id, method)).or_default() += 1;
            }
        }
        ids
    }

    fn of(&self, known: &Documentation) -> Option<String> {
        let id = known.operation.operation_id.as_deref()?;
        let method = method_name(&known.method);
        let mut own = id.to_owned();
        if self.all.get(id) > Some(&1) {
            own = format!("{own}_{}", method.to_ascii_lowercase());
        }
        if self.by_method.get(&(id, method)) > Some(&1) {
            let path = known.path.replace('{', "by_").replace('}', "");
            own.push_str(&path.replace(|char: char| !char.is_ascii_alphanumeric(), "_"));
        }
        Some(own)
    }
}

/// The method, as a request names it.
pub(crate) fn method_name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}

/// What problem details are called in the document.
const PROBLEM: &str = "Problem";

/// RFC 9457 problem details; a kind of problem may have members of its own.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "it is here for its documentation")]
struct Details {
    /// A URI that names the kind of problem; `about:blank` where the status says it all
    #[schema(format = "uri-reference", default = "about:blank")]
    r#type: String,
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What a person can do about it
    detail: String,
}

fn problem() -> Response {
    ResponseBuilder::new()
        .description("What is wrong, under its true status")
        .content(
            "application/problem+json",
            Content::new(Some(Ref::from_schema_name(PROBLEM))),
        )
        .build()
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Details::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> std::borrow::Cow<'static, str> {
        PROBLEM.into()
    }
}

impl ToResponse<'static> for Problem {
    fn response() -> (&'static str, RefOr<Response>) {
        (PROBLEM, RefOr::T(problem()))
    }
}

/// Mounts `/openapi.json`.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(openapi);
}

/// This document
#[utoipa::path(
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
#[get("/openapi.json")]
async fn openapi(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}
