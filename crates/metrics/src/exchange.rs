//! One request and its answer, watched from its first to its last moment.
//!
//! Metrics and access log want the same: to be told once about every exchange, however it ends:
//! answered, refused, panicked, cut off, or left by the client halfway. [`Observed`] is that
//! middleware; it costs no allocation of its own.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready as ready_or_pending},
    time::{Duration, Instant},
};

use actix_web::{
    Error,
    body::{BodySize, MessageBody},
    dev::{ResponseHead, Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::StatusCode,
    web::Bytes,
};
use pin_project_lite::pin_project;

use crate::{RouteId, Routes};

/// Is told about every exchange.
pub trait Observe: 'static {
    /// What it remembers from the request until the end.
    type Record: 'static;

    /// A request has arrived.
    fn begin(&self, req: &ServiceRequest, route: RouteId) -> Self::Record;

    /// The head of the answer is ready to be sent, and may be added to.
    fn respond(&self, _record: &mut Self::Record, _head: &mut ResponseHead) {}

    /// The exchange is over.
    fn end(&self, record: Self::Record, outcome: &Outcome);
}

/// Two observers, one after the other.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Record = (A::Record, B::Record);

    fn begin(&self, req: &ServiceRequest, route: RouteId) -> Self::Record {
        (self.0.begin(req, route), self.1.begin(req, route))
    }

    fn respond(&self, record: &mut Self::Record, head: &mut ResponseHead) {
        self.0.respond(&mut record.0, head);
        self.1.respond(&mut record.1, head);
    }

    fn end(&self, record: Self::Record, outcome: &Outcome) {
        self.0.end(record.0, outcome);
        self.1.end(record.1, outcome);
    }
}

/// An observer that may not be there.
impl<A: Observe> Observe for Option<A> {
    type Record = Option<A::Record>;

    fn begin(&self, req: &ServiceRequest, route: RouteId) -> Self::Record {
        self.as_ref().map(|observer| observer.begin(req, route))
    }

    fn respond(&self, record: &mut Self::Record, head: &mut ResponseHead) {
        if let (Some(observer), Some(record)) = (self, record) {
            observer.respond(record, head);
        }
    }

    fn end(&self, record: Self::Record, outcome: &Outcome) {
        if let (Some(observer), Some(record)) = (self, record) {
            observer.end(record, outcome);
        }
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The route that the request belonged to.
    pub route: RouteId,
    /// The status that was sent; `None` when the exchange ended before there was one.
    pub status: Option<StatusCode>,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the answer's last byte, or to the end that came before it.
    pub elapsed: Duration,
    /// Whether the answer was handed to the connection in full.
    pub complete: bool,
}

impl Outcome {
    /// The status as a number; 499 when the exchange ended before there was one. That is not a
    /// registered code but the field's own name, from its proxies, for a request that was left.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status.map_or(499, |status| status.as_u16())
    }
}

/// The middleware.
#[derive(Debug)]
pub struct Observed<O> {
    observer: Rc<O>,
    routes: Arc<Routes>,
}

impl<O: Observe> Observed<O> {
    /// Tells `observer` about every exchange that passes.
    pub fn new(observer: O, routes: Arc<Routes>) -> Self {
        Self {
            observer: Rc::new(observer),
            routes,
        }
    }
}

impl<S, B, O> Transform<S, ServiceRequest> for Observed<O>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
    O: Observe,
{
    type Response = ServiceResponse<ObservedBody<B, O>>;
    type Error = Error;
    type Transform = ObservedService<S, O>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ObservedService {
            service,
            observer: Rc::clone(&self.observer),
            routes: Arc::clone(&self.routes),
        }))
    }
}

#[derive(Debug)]
pub struct ObservedService<S, O> {
    service: S,
    observer: Rc<O>,
    routes: Arc<Routes>,
}

impl<S, B, O> Service<ServiceRequest> for ObservedService<S, O>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
    O: Observe,
{
    type Response = ServiceResponse<ObservedBody<B, O>>;
    type Error = Error;
    type Future = ObservedCall<S::Future, O>;

    forward_ready!(service);

    fn call(&self, req: ServiceRequest) -> Self::Future {
        let exchange = Exchange::begin(Rc::clone(&self.observer), &req, self.routes.find(&req));
        ObservedCall {
            call: self.service.call(req),
            exchange: Some(exchange),
        }
    }
}

pin_project! {
    /// The time until the answer's head.
    pub struct ObservedCall<F, O: Observe> {
        #[pin]
        call: F,
        exchange: Option<Exchange<O>>,
    }
}

impl<F, B, O> Future for ObservedCall<F, O>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
    O: Observe,
{
    type Output = Result<ServiceResponse<ObservedBody<B, O>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready_or_pending!(this.call.poll(cx));
        let mut exchange = this
            .exchange
            .take()
            .expect("a future is not polled after it is done");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                exchange.respond(response.response_mut().head_mut());
                Ok(response.map_body(|_, body| {
                    exchange.outcome.complete =
                        matches!(body.size(), BodySize::None | BodySize::Sized(0));
                    ObservedBody { body, exchange }
                }))
            }
            Err(error) => {
                exchange.outcome.status = Some(error.as_response_error().status_code());
                exchange.outcome.complete = true;
                Err(error)
            }
        })
    }
}

pin_project! {
    /// The time from the answer's head to its last byte.
    pub struct ObservedBody<B, O: Observe> {
        #[pin]
        body: B,
        exchange: Exchange<O>,
    }
}

impl<B: MessageBody, O: Observe> MessageBody for ObservedBody<B, O> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let next = ready_or_pending!(this.body.poll_next(cx));
        match &next {
            Some(Ok(chunk)) => this.exchange.outcome.bytes += chunk.len() as u64,
            Some(Err(_)) => {}
            None => this.exchange.outcome.complete = true,
        }
        Poll::Ready(next)
    }
}

/// Ends when it is dropped, so that no way of ending can be forgotten.
struct Exchange<O: Observe> {
    observer: Rc<O>,
    record: Option<O::Record>,
    started: Instant,
    outcome: Outcome,
}

impl<O: Observe> Exchange<O> {
    fn begin(observer: Rc<O>, req: &ServiceRequest, route: RouteId) -> Self {
        Self {
            record: Some(observer.begin(req, route)),
            observer,
            started: Instant::now(),
            outcome: Outcome {
                route,
                status: None,
                bytes: 0,
                elapsed: Duration::ZERO,
                complete: false,
            },
        }
    }

    fn respond(&mut self, head: &mut ResponseHead) {
        if let Some(record) = &mut self.record {
            self.observer.respond(record, head);
        }
        self.outcome.status = Some(head.status);
    }
}

impl<O: Observe> Drop for Exchange<O> {
    fn drop(&mut self) {
        self.outcome.elapsed = self.started.elapsed();
        if let Some(record) = self.record.take() {
            self.observer.end(record, &self.outcome);
        }
    }
}
