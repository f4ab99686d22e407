//! What stands between a handler and its connection: a time limit, a net for panics, and one form
//! for every error.
//!
//! It wraps each endpoint rather than the app, because only behind the router is it safe to keep
//! the request for an answer of our own.

use std::{
    any::Any,
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready as ready_or_pending},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    rt::time::{Sleep, sleep},
};
use pin_project_lite::pin_project;

use crate::{
    Problem, Timeout,
    limits::{BodyProgress, Progress},
};

/// Wraps an endpoint.
pub(crate) struct Guard {
    timeout: Timeout,
}

impl Guard {
    /// `timeout` is how long the handler may take before its answer starts.
    pub(crate) fn new(timeout: Timeout) -> Self {
        Self { timeout }
    }
}

impl<S> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = GuardService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(GuardService {
            service,
            timeout: self.timeout.clone(),
        }))
    }
}

pub(crate) struct GuardService<S> {
    service: S,
    timeout: Timeout,
}

impl<S> Service<ServiceRequest> for GuardService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Guarded<S::Future>;

    forward_ready!(service);

    fn call(&self, req: ServiceRequest) -> Self::Future {
        let request = req.request().clone();
        // The panic hook has logged and counted it; here it only becomes an answer.
        let call = catch_unwind(AssertUnwindSafe(|| self.service.call(req)));
        Guarded {
            request: Some(request),
            call: call.ok(),
            timeout: self.timeout.get(),
            timer: None,
        }
    }
}

pin_project! {
    /// A handler at work. Without `call`, it has panicked.
    pub(crate) struct Guarded<F> {
        request: Option<HttpRequest>,
        #[pin]
        call: Option<F>,
        timeout: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Future for Guarded<F>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.call.as_mut().as_pin_mut() {
            Some(call) => catch_unwind(AssertUnwindSafe(|| call.poll(cx))),
            None => Err(Box::new(()) as Box<dyn Any + Send>),
        };
        let problem = match outcome {
            Ok(Poll::Ready(Ok(response))) => return Poll::Ready(Ok(in_form(response))),
            Ok(Poll::Ready(Err(error))) => Problem::from_error(&error),
            Ok(Poll::Pending) => {
                // Most handlers answer at the first poll, so the timer is made for the others only.
                let timeout = *this.timeout;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready_or_pending!(timer.as_mut().poll(cx));
                Problem::handler_timeout(timeout)
            }
            Err(_panic) => Problem::internal(),
        };
        this.call.set(None);
        let request = this
            .request
            .take()
            .expect("a future is not polled after it is done");
        let problem = clients_fault(&request).unwrap_or(problem);
        Poll::Ready(Ok(ServiceResponse::new(request, problem.to_response())))
    }
}

/// The problem with the request's body that explains why its handler got nowhere, if there is one.
fn clients_fault(request: &HttpRequest) -> Option<Problem> {
    match request.extensions().get::<BodyProgress>()?.get() {
        Progress::Flowing => None,
        Progress::Waiting | Progress::TimedOut => Some(Problem::body_too_slow()),
        Progress::TooLarge(limit) => Some(Problem::body_too_large(limit)),
    }
}

/// Gives an error that came from elsewhere (an extractor's, or one with no body at all) the form
/// that this service's errors have.
fn in_form(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.response().error() {
        Some(error) if error.as_error::<Problem>().is_some() => return response,
        Some(error) => {
            clients_fault(response.request()).unwrap_or_else(|| Problem::from_error(error))
        }
        None if is_empty(&response) => Problem::new(
            status,
            status.canonical_reason().unwrap_or("no further details"),
        ),
        None => return response,
    };
    let (request, original) = response.into_parts();
    let mut answer = problem.to_response();
    for (name, value) in original.headers() {
        if !answer.headers().contains_key(name) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, answer)
}

fn is_empty(response: &ServiceResponse<BoxBody>) -> bool {
    matches!(
        response.response().body().size(),
        BodySize::None | BodySize::Sized(0)
    )
}
