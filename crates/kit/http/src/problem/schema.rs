//! Problem details in the OpenAPI document.

use serde::Serialize;
use utoipa::{
    PartialSchema, ToResponse, ToSchema,
    openapi::{Content, Ref, RefOr, Response, ResponseBuilder, Schema},
};

use super::Problem;

/// What problem details are called in the document.
pub(crate) const PROBLEM: &str = "Problem";

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

pub(crate) fn problem() -> Response {
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
