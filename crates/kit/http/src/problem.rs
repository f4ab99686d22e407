//! Errors as RFC 9457 problem details.

use std::{borrow::Cow, fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    error::PayloadError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;

use crate::{QueryError, duration::compact};

/// An error answer: its true status and an `application/problem+json` body that says in `detail`
/// what a person can do about it.
///
/// A handler returns it as its error, or directly as its answer.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    allow: Option<HeaderValue>,
}

/// The members of RFC 9457. `type` is `about:blank`: the status says it all, so `title` is the
/// status's own phrase.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem with this status; `detail` is for the person who reads the answer.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            allow: None,
        }
    }

    /// 400: the request is wrong and will stay so.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 405 that lists the methods which the path does answer in `Allow`.
    #[must_use]
    pub fn method_not_allowed(allowed: &[&str]) -> Self {
        let allow = allowed.join(", ");
        Self {
            allow: HeaderValue::from_str(&allow).ok(),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("this path answers {allow}"),
            )
        }
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

    /// The error of any extractor or handler, under its own status. What it says is passed on where
    /// the client is at fault, and kept from it where the server is.
    pub(crate) fn from_error(error: &actix_web::Error) -> Self {
        if let Some(problem) = error.as_error::<Self>() {
            return problem.clone();
        }
        if let Some(error) = error.as_error::<PayloadError>() {
            return Self::from(error);
        }
        let status = error.as_response_error().status_code();
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
        response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header(crate::NO_STORE);
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.clone()));
        }
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        response.json(body)
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
            PayloadError::Overflow => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request body is larger than this server accepts",
            ),
            PayloadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::body_too_slow()
            }
            _ => Self::bad_request("the request body is broken or incomplete"),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// 404 for what no endpoint answers.
pub(crate) async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path; /openapi.json lists what there is",
    )
}
