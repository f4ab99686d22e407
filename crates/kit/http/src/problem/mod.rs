//! Errors as RFC 9457 problem details.

pub(crate) mod schema;

use std::{borrow::Cow, fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    error::{JsonPayloadError, PayloadError},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue, TryIntoHeaderPair},
    },
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{duration::compact, request::context::RequestContext};

/// Answers that are true only now must not be kept by a cache on the way.
pub const NO_STORE: (header::HeaderName, header::HeaderValue) = (
    header::CACHE_CONTROL,
    header::HeaderValue::from_static("no-store"),
);

/// An error answer: its true status and an `application/problem+json` body that says in `detail`
/// what a person can do about it.
///
/// A handler returns it as its error, or directly as its answer.
///
/// ```
/// use actix_web::http::{StatusCode, header};
/// use berth_kit_http::Problem;
///
/// let out_of_stock = Problem::new(StatusCode::CONFLICT, "there are only 3 left; order fewer")
///     .with_type("https://shop.example/problems/out-of-stock")
///     .with_title("Out of stock")
///     .with_member("left", 3)
///     .with_header((header::RETRY_AFTER, 3600));
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    /// What most have nothing of.
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default)]
struct More {
    kind: Option<Cow<'static, str>>,
    title: Option<Cow<'static, str>>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

/// The members of RFC 9457. Without a `type` of its own, which is `about:blank`, the status says it all, so
/// `title` is the status's own phrase.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    members: Option<&'a Map<String, Value>>,
}

impl Problem {
    /// A problem with this status; `detail` is for the person who reads the answer.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            more: None,
        }
    }

    /// With a `type` of its own: a URI that names this kind of problem, for programs.
    #[must_use]
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.more().kind = Some(uri.into());
        self
    }

    /// With a `title` of its own, which is the same for all problems of one `type`.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.more().title = Some(title.into());
        self
    }

    /// With a member of its own beside those of the RFC, whose names it must not have. What cannot be JSON
    /// becomes `null`.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Serialize) -> Self {
        if !["type", "title", "status", "detail"].contains(&name) {
            let value = serde_json::to_value(value).unwrap_or_default();
            self.more().members.insert(name.to_owned(), value);
        }
        self
    }

    /// With a header, such as `Retry-After` or `WWW-Authenticate`. One that cannot be sent is left out.
    #[must_use]
    pub fn with_header(mut self, header: impl TryIntoHeaderPair) -> Self {
        if let Ok((name, value)) = header.try_into_pair()
            && name != header::CONTENT_TYPE
        {
            self.more().headers.append(name, value);
        }
        self
    }

    /// With those headers of another answer that it does not have itself.
    pub(crate) fn with_headers_of(mut self, answer: &HeaderMap) -> Self {
        let always = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CACHE_CONTROL,
        ];
        let own = self.more.as_ref().map(|more| more.headers.clone());
        for (name, value) in answer {
            let has = own.as_ref().is_some_and(|own| own.contains_key(name));
            if !has && !always.contains(name) {
                self.more().headers.append(name.clone(), value.clone());
            }
        }
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// 404: there is nothing at this path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; /openapi.json lists what there is",
        )
    }

    /// 400: the request is wrong and will stay so.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 405 that lists the methods which the path does answer in `Allow`.
    #[must_use]
    pub fn method_not_allowed(allowed: &[&str]) -> Self {
        let allow = allowed.join(", ");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this path answers {allow}"),
        )
        .with_header((header::ALLOW, allow))
    }

    /// 408: the body did not arrive in time.
    #[must_use]
    pub fn body_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request body did not arrive in time; send it faster or in smaller parts",
        )
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body may have at most {limit} bytes"),
        )
    }

    /// 414: the request target is longer than `limit` bytes.
    #[must_use]
    pub fn uri_too_long(limit: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            format!("the request target may have at most {limit} bytes"),
        )
    }

    /// 500 that tells the client nothing about the cause; the cause belongs in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed on this request; the cause is in its log",
        )
    }

    /// 503: the handler did not start its answer within `timeout`.
    ///
    /// Not 504: that status is a gateway's, about a server behind it. This server gives up by
    /// itself, so it is the one that is unavailable.
    #[must_use]
    pub fn handler_timeout(timeout: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the request was not answered within {}; try again later",
                compact(timeout)
            ),
        )
    }

    /// The error of any extractor or handler, under the status that it is answered with. What it says is passed
    /// on where the client is at fault, and kept from it where the server is.
    pub(crate) fn from_error(error: &actix_web::Error, status: StatusCode) -> Self {
        if let Some(problem) = error.as_error::<Self>() {
            return problem.clone();
        }
        if let Some(error) = error.as_error::<PayloadError>() {
            return Self::from(error);
        }
        if let Some(error) = error.as_error::<JsonPayloadError>() {
            return Self::from_json(error);
        }
        // An error need not say its status but in its answer, as a WebSocket handshake's does not.
        if status.is_client_error() {
            Self::new(status, error.to_string())
        } else {
            log::error!("a handler failed with {status}: {error}");
            Self {
                status,
                ..Self::internal()
            }
        }
    }

    /// The answer.
    #[must_use]
    pub fn to_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        let more = self.more.as_deref();
        if more.is_none_or(|more| !more.headers.contains_key(header::CACHE_CONTROL)) {
            response.insert_header(NO_STORE);
        }
        for (name, value) in more.iter().flat_map(|more| &more.headers) {
            response.append_header((name, HeaderValue::clone(value)));
        }
        let kind = more.and_then(|more| more.kind.as_deref());
        let title = more.and_then(|more| more.title.as_deref());
        let phrase = self.status.canonical_reason().unwrap_or("Unknown");
        let body = Body {
            r#type: kind.unwrap_or("about:blank"),
            title: title.unwrap_or(phrase),
            status: self.status.as_u16(),
            detail: &self.detail,
            members: more.map(|more| &more.members),
        };
        response.json(body)
    }

    fn from_json(error: &JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::ContentType => Self::not_json(),
            JsonPayloadError::Deserialize(error) => Self::wrong_json(error),
            JsonPayloadError::Payload(error) => Self::from(error),
            JsonPayloadError::Overflow { limit }
            | JsonPayloadError::OverflowKnownLength { limit, .. } => Self::body_too_large(*limit),
            other => Self::new(other.status_code(), other.to_string()),
        }
    }

    /// 415: a body that does not say that it is JSON.
    pub(crate) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON; send it with Content-Type: application/json",
        )
    }

    /// 400 for what is no JSON, 422 for JSON that is not what was asked for; both say where.
    pub(crate) fn wrong_json(error: &serde_json::Error) -> Self {
        if error.is_data() {
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        } else {
            Self::bad_request(format!("the body is no valid JSON: {error}"))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response()
    }
}

impl Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.to_response()
    }
}

impl From<&PayloadError> for Problem {
    fn from(error: &PayloadError) -> Self {
        match error {
            PayloadError::Overflow => {
                let limit = RequestContext::current().and_then(|request| request.max_body());
                limit.map_or_else(
                    || {
                        Self::new(
                            StatusCode::PAYLOAD_TOO_LARGE,
                            "the request body is larger than this server accepts",
                        )
                    },
                    Self::body_too_large,
                )
            }
            PayloadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::body_too_slow()
            }
            _ => Self::bad_request("the request body is broken or incomplete"),
        }
    }
}
