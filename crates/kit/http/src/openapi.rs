//! `GET /openapi.json`: the contract for machines, put together from the handlers' own documentation.

use std::collections::HashMap;

use actix_web::{HttpResponse, Responder, get, http::header, web};
use serde_json::Value;
use utoipa::{
    PartialSchema as _,
    openapi::{ComponentsBuilder, Info, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Server},
};

use crate::{
    build_info::BuildInfo,
    problem::{
        Problem,
        schema::{PROBLEM, problem},
    },
    routing::{
        documented::Documentation, method::method_name, mount::ServiceConfig, survey::Survey,
    },
};

/// The document of a port.
#[derive(Debug)]
pub struct Document(web::Bytes);

/// The documentation of the handlers is no OpenAPI document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be written down.
    #[error("the OpenAPI document cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// Something refers to a type that is not in it.
    #[error(
        "the OpenAPI document refers to {0}, which it does not have; write inline(…) around a type that is a \
         parameter; give others by ServiceConfig::openapi"
    )]
    Reference(String),
}

impl Document {
    /// The document of what is mounted. Each operation has problem details as its `default` response, unless it
    /// says itself what else it answers.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON, or refers to what it does not have.
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
            .responses_from_iter(survey.documented.responses.clone())
            .response(PROBLEM, problem())
            .build();
        let mut components = components;
        components.security_schemes = survey.documented.security.clone();
        let document = OpenApiBuilder::new()
            .info(Info::new(info.app.as_str(), info.version.as_str()))
            .servers(Some([Server::new("/")]))
            .paths(paths)
            .components(Some(components))
            .build();
        let document = serde_json::to_value(document)?;
        match dangling(&document, &document) {
            Some(reference) => Err(Error::Reference(reference.to_owned())),
            None => Ok(Self(document.to_string().into())),
        }
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

/// A reference in `part` to what the document does not have.
fn dangling<'a>(document: &Value, part: &'a Value) -> Option<&'a str> {
    match part {
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let reference = member.as_str().filter(|_| name == "$ref");
            match reference.and_then(|reference| reference.strip_prefix('#')) {
                Some(pointer) => document.pointer(pointer).is_none().then_some(pointer),
                None => dangling(document, member),
            }
        }),
        Value::Array(items) => items.iter().find_map(|item| dangling(document, item)),
        _ => None,
    }
}

/// Where it is.
pub const PATH: &str = "/openapi.json";

/// Mounts `/openapi.json`.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(openapi);
}

/// This document
#[utoipa::path(
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Value))
)]
#[get("/openapi.json")]
async fn openapi(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}

#[cfg(test)]
mod tests {
    use utoipa::ToSchema;

    use super::*;
    use crate::routing::routes::Routes;

    #[derive(ToSchema)]
    #[allow(dead_code, reason = "it is here for its documentation")]
    struct Id(u32);

    #[utoipa::path(params(("id" = Id, Path)), responses((status = 200)))]
    #[get("/things/{id}")]
    async fn dangling(id: web::Path<u32>) -> impl Responder {
        let _ = id;
        HttpResponse::Ok()
    }

    #[utoipa::path(params(("id" = inline(Id), Path)), responses((status = 200)))]
    #[get("/things/{id}")]
    async fn inlined(id: web::Path<u32>) -> impl Responder {
        let _ = id;
        HttpResponse::Ok()
    }

    async fn document(routes: Routes) -> Result<Document, Error> {
        let info = BuildInfo {
            app: "shop".to_owned(),
            version: "1".to_owned(),
            revision: String::new(),
            hostname: String::new(),
            env: String::new(),
            rustc: String::new(),
            message: String::new(),
        };
        Document::new(&routes.survey().await.unwrap(), &info)
    }

    #[actix_web::test]
    async fn a_reference_to_what_is_not_there_is_refused_with_its_name() {
        let routes = Routes::new(|cfg| {
            cfg.service(dangling);
        });
        let error = document(routes).await.unwrap_err().to_string();
        assert!(
            error.contains("refers to /components/schemas/Id"),
            "{error}"
        );
        let routes = Routes::new(|cfg| {
            cfg.service(inlined);
        });
        assert!(document(routes).await.is_ok());
    }
}
