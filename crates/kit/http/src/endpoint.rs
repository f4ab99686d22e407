//! One declaration per endpoint.

use std::{borrow::Cow, panic::Location};

use actix_web::{
    Route,
    guard::{Guard, GuardContext},
};

/// The methods that an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// These methods; every other one is a 405 that lists them in `Allow`.
    Only(&'static [&'static str]),
    /// Whatever the client sends.
    Any,
}

impl Methods {
    /// `GET`, and `HEAD` with it: the same answer without its body.
    pub const GET: Self = Self::Only(&["GET", "HEAD"]);
    /// `POST`.
    pub const POST: Self = Self::Only(&["POST"]);

    /// The methods by name; the common ones where any is answered.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Only(names) => names,
            Self::Any => &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        }
    }
}

impl Guard for Methods {
    fn check(&self, ctx: &GuardContext<'_>) -> bool {
        match self {
            Self::Only(names) => names.contains(&ctx.head().method.as_str()),
            Self::Any => true,
        }
    }
}

/// An endpoint: where it is, what it answers to, which handler answers, and how it is documented.
///
/// ```
/// use actix_web::{Responder, web};
/// use berth_kit_http::{Endpoint, Methods};
/// use serde_json::json;
///
/// /// `GET /api/v1/goodbye`
/// pub const ENDPOINT: Endpoint = Endpoint::new("/api/v1/goodbye", Methods::GET, || web::to(goodbye), DOCS);
///
/// async fn goodbye() -> impl Responder {
///     web::Json(json!({ "message": "Goodbye!" }))
/// }
///
/// const DOCS: &str = r#"{ "get": {
///   "operationId": "goodbye",
///   "summary": "Say goodbye",
///   "responses": { "200": { "description": "A farewell" } }
/// } }"#;
/// ```
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The route's pattern: `/debug/bytes/{n}`. Also its label in the metrics and its path in the
    /// OpenAPI document.
    pub path: Cow<'static, str>,
    /// The methods that it answers.
    pub methods: Methods,
    route: fn() -> Route,
    openapi: &'static str,
    declared: &'static Location<'static>,
}

impl Endpoint {
    /// An endpoint at `path`. `route` makes the route without a method guard; `openapi` is the path
    /// item of the OpenAPI document, as JSON.
    #[must_use]
    #[track_caller]
    pub const fn new(
        path: &'static str,
        methods: Methods,
        route: fn() -> Route,
        openapi: &'static str,
    ) -> Self {
        Self {
            path: Cow::Borrowed(path),
            methods,
            route,
            openapi,
            declared: Location::caller(),
        }
    }

    /// The same endpoint at another path, for a path that the settings choose.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self {
            path: Cow::Owned(path.to_owned()),
            ..self
        }
    }

    /// The OpenAPI path item, as JSON.
    #[must_use]
    pub fn openapi(&self) -> &'static str {
        self.openapi
    }

    /// Where it is declared.
    #[must_use]
    pub fn declared(&self) -> &'static Location<'static> {
        self.declared
    }

    /// Its route, for its methods only.
    pub(crate) fn route(&self) -> Route {
        (self.route)().guard(self.methods)
    }
}
