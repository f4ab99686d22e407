//! Limits of a route's own.

use std::{
    future::{Ready, ready},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};

use crate::request::context::RequestContext;

/// The largest body that any route of the process has asked for. Until a request has come to its route, which
/// middleware before it may delay, one that announces as much cannot be refused.
static LARGEST_BODY: AtomicUsize = AtomicUsize::new(0);

/// In bytes; see [`LARGEST_BODY`].
pub(crate) fn largest_body() -> usize {
    LARGEST_BODY.load(Ordering::Relaxed)
}

/// Middleware that gives what it wraps (a scope, a resource, a handler) limits of its own, instead of
/// `server.request_timeout` and `server.max_body_bytes`.
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::{HttpResponse, put, web};
/// use berth_kit_http::RouteLimits;
///
/// /// Takes a large file, for as long as five minutes.
/// #[put("/files/{name}", wrap = "RouteLimits::new().max_body(1 << 30).timeout(Duration::from_mins(5))")]
/// async fn upload(name: web::Path<String>, body: web::Payload) -> HttpResponse {
///     # let _ = (name, body);
///     HttpResponse::NoContent().finish()
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteLimits {
    timeout: Option<Duration>,
    max_body: Option<usize>,
}

impl RouteLimits {
    /// Nothing but what the settings say.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a request's body may take to arrive, and how long the handler may take until its answer
    /// begins. An answer that has begun may take as long as it takes.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    /// The largest request body, in bytes, also of one that an extractor collects.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        LARGEST_BODY.fetch_max(bytes, Ordering::Relaxed);
        Self {
            max_body: Some(bytes),
            ..self
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for RouteLimits
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = RouteLimitsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(RouteLimitsService {
            service,
            limits: *self,
        }))
    }
}

#[derive(Debug)]
pub struct RouteLimitsService<S> {
    service: S,
    limits: RouteLimits,
}

impl<S, B> Service<ServiceRequest> for RouteLimitsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = S::Future;

    forward_ready!(service);

    fn call(&self, req: ServiceRequest) -> Self::Future {
        RequestContext::with_current(|request| {
            if let Some(request) = request {
                if let Some(timeout) = self.limits.timeout {
                    request.set_timeout(timeout);
                }
                if let Some(bytes) = self.limits.max_body {
                    request.set_max_body(bytes);
                }
            }
        });
        self.service.call(req)
    }
}
