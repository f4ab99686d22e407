//! What stands between the connection and whatever is mounted: limits, a time limit, a net for panics, HEAD
//! where there is GET, and one form for every error.

pub(crate) mod body;
pub(crate) mod limits;
pub(crate) mod shedding;
pub(crate) mod timeout;

use std::{
    any::Any,
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready as ready_or_pending},
    time::Duration,
};

use actix_web::{
    Error, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    rt::time::{Instant, Sleep, sleep},
};
use pin_project_lite::pin_project;

use body::Limits;
use limits::largest_body;
use shedding::{Admitted, Begin, OfWorker, Shedding};

use crate::{
    problem::Problem,
    request::{
        client::TrustedProxies,
        context::{BodyProgress, RequestContext},
    },
    table::RouteTable,
};

/// The longest request target that is read, in bytes; RFC 9110 asks for at least 8000.
pub(crate) const MAX_TARGET_BYTES: usize = 8192;

/// Middleware around the whole app, however its routes are mounted. Whatever a handler does,
///
/// - a target longer than 8 KiB is a 414,
/// - a body larger than allowed is a 413: at once where `Content-Length` says more than any route allows, else
///   when it is read, or when the byte too many arrives,
/// - a body that is not there in time is a 408,
/// - a request that is one too many, or that there is no memory for, is a 503,
/// - a handler that has not begun its answer in time is a 503, and one that panics a 500,
/// - HEAD is answered as GET where the path has no HEAD of its own,
/// - an error has the form of problem details, unless it has a body of its own.
///
/// What is left of a body when its request has been answered is not read: the connection closes.
#[derive(Debug, Clone)]
pub struct Boundary {
    limits: Limits,
    table: Arc<RouteTable>,
}

impl Boundary {
    /// Holds requests to `limits`, but for those whose route has its own.
    #[must_use]
    pub fn new(limits: Limits, table: Arc<RouteTable>) -> Self {
        Self { limits, table }
    }
}

impl<S> Transform<S, ServiceRequest> for Boundary
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = BoundaryService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let shedding = self.limits.shedding.as_ref();
        ready(Ok(BoundaryService {
            service,
            shedding: shedding.map(Shedding::of_worker).unwrap_or_default(),
            boundary: Rc::new(self.clone()),
        }))
    }
}

#[derive(Debug)]
pub struct BoundaryService<S> {
    service: S,
    shedding: OfWorker,
    boundary: Rc<Boundary>,
}

impl<S> Service<ServiceRequest> for BoundaryService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Bounded<S::Future>;

    forward_ready!(service);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        let Boundary { limits, table } = &*self.boundary;
        let request = RequestContext::current()
            .unwrap_or_else(|| RequestContext::new(&req, table, &TrustedProxies::default()));
        let mut bounded = Bounded {
            call: None,
            refusal: None,
            boundary: Rc::clone(&self.boundary),
            request,
            admitted: Admitted::default(),
            timer: None,
        };
        if target_length(req.uri()) > MAX_TARGET_BYTES {
            bounded.refusal = Some(Problem::uri_too_long(MAX_TARGET_BYTES));
            return bounded;
        }
        if req.method() == Method::HEAD && !has_head(&bounded.request) {
            req.head_mut().method = Method::GET;
        }
        bounded.request.set_max_body(limits.max_body_bytes);
        limits.hold(&mut req, &bounded.request);
        if let Some(shedding) = &limits.shedding {
            match shedding.admit(&req, &bounded.request, &self.shedding) {
                Ok(admitted) => bounded.admitted = admitted,
                Err(problem) => {
                    bounded.refusal = Some(problem);
                    return bounded;
                }
            }
        }
        // The panic hook has logged and counted it; here it only becomes an answer.
        bounded.call = catch_unwind(AssertUnwindSafe(|| self.service.call(req))).ok();
        // Most requests have come to their routes by now, and no handler has begun. What is not refused here is
        // where it is read.
        let allowed = limits.max_body(&bounded.request).max(largest_body());
        if bounded.request.announced() > allowed as u64 {
            bounded.refusal = Some(Problem::body_too_large(allowed));
        }
        bounded
    }
}

/// Whether the path has a handler for HEAD itself.
fn has_head(request: &RequestContext) -> bool {
    let route = request.table().get(request.table().find(request.path()));
    route.methods.iter().any(|method| method == "HEAD")
}

/// How long the target was in the request line, in bytes.
fn target_length(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let scheme = uri
        .scheme_str()
        .map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    scheme + authority + path
}

pin_project! {
    /// A handler at work. Without `call`, it has panicked.
    pub struct Bounded<F> {
        #[pin]
        call: Option<F>,
        refusal: Option<Problem>,
        boundary: Rc<Boundary>,
        request: RequestContext,
        // Until it is dropped.
        admitted: Admitted,
        // With the route's own limit that it has been set by, if any.
        timer: Option<(Pin<Box<Sleep>>, Option<Duration>)>,
    }
}

impl<F> Future for Bounded<F>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.admitted.counts() && this.admitted.begin() == Begin::Later {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(refusal) = this.refusal.take() {
            return Poll::Ready(Err(refusal.into()));
        }
        let outcome = match this.call.as_mut().as_pin_mut() {
            Some(call) => catch_unwind(AssertUnwindSafe(|| call.poll(cx))),
            None => Err(Box::new(()) as Box<dyn Any + Send>),
        };
        let limits = &this.boundary.limits;
        let fault = || limits.clients_fault(this.request, false);
        let problem = match outcome {
            Ok(Poll::Ready(Ok(response))) => {
                return Poll::Ready(Ok(in_form(response, this.request, fault)));
            }
            Ok(Poll::Ready(Err(error))) => match error_in_form(&error, fault) {
                Some(problem) => problem,
                None => return Poll::Ready(Err(error)),
            },
            Ok(Poll::Pending) => {
                if this.admitted.counts() {
                    this.admitted
                        .pause(this.request.body() == BodyProgress::Waiting);
                }
                let own = this.request.timeout();
                let timeout = || own.unwrap_or_else(|| limits.timeout.get());
                // Most handlers answer at the first poll, so the timer is made for the others only.
                let (timer, set_by) = this
                    .timer
                    .get_or_insert_with(|| (Box::pin(sleep(timeout())), own));
                // Middleware may wait before it lets the request through to a route with a limit of its own.
                if *set_by != own {
                    timer.as_mut().reset(Instant::now() + timeout());
                    *set_by = own;
                }
                ready_or_pending!(timer.as_mut().poll(cx));
                let waits_for_body = limits.clients_fault(this.request, true);
                waits_for_body.unwrap_or_else(|| Problem::handler_timeout(timeout()))
            }
            Err(_panic) => fault().unwrap_or_else(Problem::internal),
        };
        this.call.set(None);
        Poll::Ready(Err(problem.into()))
    }
}

/// What an error becomes; nothing where it has a form already.
fn error_in_form(error: &Error, fault: impl FnOnce() -> Option<Problem>) -> Option<Problem> {
    if error.as_error::<Problem>().is_some() {
        return None;
    }
    if let Some(problem) = fault() {
        return Some(problem);
    }
    let response = error.error_response();
    (!has_own_body(&response, error))
        .then(|| Problem::from_error(error, response.status()).with_headers_of(response.headers()))
}

/// Whether somebody has given this error a body. One that nobody has has its message as plain text.
fn has_own_body(response: &HttpResponse, error: &Error) -> bool {
    if is_empty(response) {
        return false;
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_text = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    // A text of the message's length is taken for it: nothing else tells one from the other.
    !is_text || response.body().size() != BodySize::Sized(error.to_string().len() as u64)
}

/// Gives an error that came from elsewhere (an extractor's, or one with no body at all) the form
/// that this service's errors have.
fn in_form(
    response: ServiceResponse<BoxBody>,
    request: &RequestContext,
    fault: impl FnOnce() -> Option<Problem>,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.response().error() {
        Some(error) if error.as_error::<Problem>().is_some() => return response,
        Some(error) => match fault() {
            Some(problem) => problem,
            None if has_own_body(response.response(), error) => return response,
            None => Problem::from_error(error, status),
        },
        None if is_empty(response.response()) => {
            let answers = request.table().answers(request.path());
            let is_handlers = answers.contains(&response.request().method().as_str());
            if status == StatusCode::METHOD_NOT_ALLOWED && !is_handlers {
                // The router's own, which knows of one route alone.
                Problem::method_not_allowed(&answers)
            } else {
                let phrase = status.canonical_reason();
                Problem::new(status, phrase.unwrap_or("no further details"))
            }
        }
        None => return response,
    };
    let answer = problem.with_headers_of(response.headers()).to_response();
    ServiceResponse::new(response.into_parts().0, answer)
}

fn is_empty(response: &HttpResponse) -> bool {
    matches!(response.body().size(), BodySize::None | BodySize::Sized(0))
}

/// 404, or 405 where the path answers other methods.
pub(crate) fn no_such_method_or_path(request: &RequestContext, method: &Method) -> Problem {
    let answers = request.table().answers(request.path());
    // A route may ask for more than a method, such as a host.
    if answers.is_empty() || answers.contains(&method.as_str()) {
        return Problem::not_found();
    }
    Problem::method_not_allowed(&answers)
}
