//! One request and its answer, watched from its first to its last moment.
//!
//! Metrics and access log want the same: to be told once about every exchange, however it ends:
//! answered, refused, panicked, cut off, or left by the client halfway. [`Observed`] is that
//! middleware.
//!
//! It is on the path of every request, so what it keeps of one lies in a box of its own, which a
//! worker uses again for the next: the futures that are moved around hold a pointer, and nothing is
//! allocated once a worker has seen a few requests.

use std::{
    cell::RefCell,
    fmt,
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
    http::{Method, StatusCode},
    web::Bytes,
};
use pin_project_lite::pin_project;

use crate::{RouteId, Routes};

/// The most boxes that a worker keeps for requests to come. Each keeps memory around it from going back to the
/// system, where it was one of thousands.
const MAX_SPARE: usize = 16;

/// Is told about every exchange.
pub trait Observe: 'static {
    /// What it remembers from the request until the end. It is used again for another request, so
    /// that what it has allocated need not be allocated anew.
    type Record: Default + 'static;

    /// A request has arrived. What `record` holds is that of an earlier one.
    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest, route: RouteId);

    /// The head of the answer is ready to be sent, and may be added to.
    fn respond(&self, _record: &mut Self::Record, _head: &mut ResponseHead) {}

    /// Something of the exchange is about to be polled.
    fn enter(&self, _record: &mut Self::Record) {}

    /// And has been.
    fn leave(&self, _record: &mut Self::Record) {}

    /// The exchange is over.
    fn end(&self, record: &mut Self::Record, outcome: &Outcome);
}

/// Two observers, one after the other.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Record = (A::Record, B::Record);

    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest, route: RouteId) {
        self.0.begin(&mut record.0, req, route);
        self.1.begin(&mut record.1, req, route);
    }

    fn respond(&self, record: &mut Self::Record, head: &mut ResponseHead) {
        self.0.respond(&mut record.0, head);
        self.1.respond(&mut record.1, head);
    }

    fn enter(&self, record: &mut Self::Record) {
        self.0.enter(&mut record.0);
        self.1.enter(&mut record.1);
    }

    fn leave(&self, record: &mut Self::Record) {
        self.1.leave(&mut record.1);
        self.0.leave(&mut record.0);
    }

    fn end(&self, record: &mut Self::Record, outcome: &Outcome) {
        self.0.end(&mut record.0, outcome);
        self.1.end(&mut record.1, outcome);
    }
}

/// An observer that may not be there.
impl<A: Observe> Observe for Option<A> {
    type Record = A::Record;

    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest, route: RouteId) {
        if let Some(observer) = self {
            observer.begin(record, req, route);
        }
    }

    fn respond(&self, record: &mut Self::Record, head: &mut ResponseHead) {
        if let Some(observer) = self {
            observer.respond(record, head);
        }
    }

    fn enter(&self, record: &mut Self::Record) {
        if let Some(observer) = self {
            observer.enter(record);
        }
    }

    fn leave(&self, record: &mut Self::Record) {
        if let Some(observer) = self {
            observer.leave(record);
        }
    }

    fn end(&self, record: &mut Self::Record, outcome: &Outcome) {
        if let Some(observer) = self {
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
pub struct Observed<O: Observe> {
    watch: Rc<Watch<O>>,
}

/// What all exchanges of a worker share.
struct Watch<O: Observe> {
    observer: O,
    routes: Arc<Routes>,
    /// Of exchanges that are over.
    spare: RefCell<Vec<Box<State<O::Record>>>>,
}

impl<O: Observe> Observed<O> {
    /// Tells `observer` about every exchange that passes.
    pub fn new(observer: O, routes: Arc<Routes>) -> Self {
        let watch = Watch {
            observer,
            routes,
            spare: RefCell::default(),
        };
        Self {
            watch: Rc::new(watch),
        }
    }
}

impl<O: Observe> fmt::Debug for Watch<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
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
            watch: Rc::clone(&self.watch),
        }))
    }
}

#[derive(Debug)]
pub struct ObservedService<S, O: Observe> {
    service: S,
    watch: Rc<Watch<O>>,
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
        let mut exchange = Exchange::begin(&self.watch, &req);
        let entered = exchange.enter();
        let call = self.service.call(req);
        drop(entered);
        ObservedCall {
            call,
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
        let entered = this.exchange.as_mut().map(Exchange::enter);
        let polled = this.call.poll(cx);
        drop(entered);
        let outcome = ready_or_pending!(polled);
        let mut exchange = this
            .exchange
            .take()
            .expect("a future is not polled after it is done");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                exchange.respond(response.response_mut().head_mut());
                let is_head = response.request().method() == Method::HEAD;
                let status = response.status();
                Ok(response.map_body(|_, body| {
                    let size = match (status, body.size()) {
                        // Such a body is not asked for.
                        _ if is_head => Some(0),
                        (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _)
                        | (_, BodySize::None) => Some(0),
                        (_, BodySize::Sized(size)) => Some(size),
                        (_, BodySize::Stream) => None,
                    };
                    exchange.outcome().complete = size == Some(0);
                    ObservedBody {
                        body,
                        size,
                        exchange,
                    }
                }))
            }
            Err(error) => {
                let outcome = exchange.outcome();
                outcome.status = Some(error.as_response_error().status_code());
                outcome.complete = true;
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
        // How much of it is asked for, where that is known.
        size: Option<u64>,
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
        let entered = this.exchange.enter();
        let polled = this.body.poll_next(cx);
        drop(entered);
        let next = ready_or_pending!(polled);
        match &next {
            Some(Ok(chunk)) => {
                let size = *this.size;
                let outcome = this.exchange.outcome();
                outcome.bytes += chunk.len() as u64;
                // Nobody asks for more.
                outcome.complete |= size.is_some_and(|size| outcome.bytes >= size);
            }
            Some(Err(_)) => {}
            None => this.exchange.outcome().complete = true,
        }
        Poll::Ready(next)
    }
}

/// Ends when it is dropped, so that no way of ending can be forgotten.
struct Exchange<O: Observe> {
    watch: Rc<Watch<O>>,
    /// There until it is dropped.
    state: Option<Box<State<O::Record>>>,
}

struct State<R> {
    record: R,
    started: Instant,
    outcome: Outcome,
}

impl<O: Observe> Exchange<O> {
    fn begin(watch: &Rc<Watch<O>>, req: &ServiceRequest) -> Self {
        let route = watch.routes.find(req);
        let outcome = Outcome {
            route,
            status: None,
            bytes: 0,
            elapsed: Duration::ZERO,
            complete: false,
        };
        let started = Instant::now();
        let spare = watch.spare.borrow_mut().pop();
        let mut state = match spare {
            Some(mut state) => {
                state.started = started;
                state.outcome = outcome;
                state
            }
            None => Box::new(State {
                record: O::Record::default(),
                started,
                outcome,
            }),
        };
        watch.observer.begin(&mut state.record, req, route);
        Self {
            watch: Rc::clone(watch),
            state: Some(state),
        }
    }

    fn state(&mut self) -> &mut State<O::Record> {
        self.state
            .as_mut()
            .expect("an exchange has its state until it is dropped")
    }

    /// Until what this gives is dropped, by a panic, too.
    fn enter(&mut self) -> Entered<'_, O> {
        let watch = Rc::clone(&self.watch);
        watch.observer.enter(&mut self.state().record);
        Entered(self)
    }

    fn outcome(&mut self) -> &mut Outcome {
        &mut self.state().outcome
    }

    fn respond(&mut self, head: &mut ResponseHead) {
        let watch = Rc::clone(&self.watch);
        let state = self.state();
        watch.observer.respond(&mut state.record, head);
        state.outcome.status = Some(head.status);
    }
}

/// Something of the exchange is being polled.
struct Entered<'a, O: Observe>(&'a mut Exchange<O>);

impl<O: Observe> Drop for Entered<'_, O> {
    fn drop(&mut self) {
        let watch = Rc::clone(&self.0.watch);
        watch.observer.leave(&mut self.0.state().record);
    }
}

impl<O: Observe> Drop for Exchange<O> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else {
            return;
        };
        state.outcome.elapsed = state.started.elapsed();
        self.watch.observer.end(&mut state.record, &state.outcome);
        let mut spare = self.watch.spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(state);
        }
    }
}
