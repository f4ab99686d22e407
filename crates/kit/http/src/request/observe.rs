//! One request and its answer, watched from its first to its last moment.
//!
//! Metrics and access log want the same: to be told once about every exchange, however it ends:
//! answered, refused, panicked, cut off, or left by the client halfway. [`Observed`] is that
//! middleware. It also makes the request's context, and has its id stand in the answer.
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
    Error, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ResponseHead, Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{Method, StatusCode},
    web::Bytes,
};
use pin_project_lite::pin_project;

use super::{
    client::TrustedProxies,
    context::{Entered, RequestContext},
    ids::X_REQUEST_ID,
    observer::{Observe, Outcome},
};
use crate::table::{RouteId, RouteTable};

/// The most boxes that a worker keeps for requests to come. Each keeps memory around it from going back to the
/// system, where it was one of thousands.
const MAX_SPARE: usize = 16;

/// The middleware.
#[derive(Debug)]
pub struct Observed<O: Observe> {
    watch: Rc<Watch<O>>,
}

/// What all exchanges of a worker share.
struct Watch<O: Observe> {
    observer: O,
    table: Arc<RouteTable>,
    proxies: TrustedProxies,
    /// Of exchanges that are over.
    spare: RefCell<Vec<Box<State<O::Record>>>>,
}

impl<O: Observe> Observed<O> {
    /// Tells `observer` about every exchange that passes. `proxies` are believed who the client is.
    pub fn new(observer: O, table: Arc<RouteTable>, proxies: TrustedProxies) -> Self {
        let watch = Watch {
            observer,
            table,
            proxies,
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
        let exchange = Exchange::begin(&self.watch, &req);
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
        let entered = this.exchange.as_ref().map(Exchange::enter);
        let polled = this.call.poll(cx);
        drop(entered);
        let outcome = ready_or_pending!(polled);
        let mut exchange = this
            .exchange
            .take()
            .expect("a future is not polled after it is done");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                let pattern = || response.request().match_pattern();
                exchange.state().request.answered_by(pattern);
                exchange.respond(response.response_mut().head_mut());
                Ok(response.map_body(|head, body| ObservedBody::new(head.status, body, exchange)))
            }
            Err(mut error) => {
                // Its answer is made from it later, by whoever has the connection.
                let exchange = RefCell::new(Some(exchange));
                error.add_response_mapper(move |answer| observe_error(&exchange, answer));
                Err(error)
            }
        })
    }
}

fn observe_error<O: Observe>(
    exchange: &RefCell<Option<Exchange<O>>>,
    mut answer: HttpResponse,
) -> HttpResponse {
    match exchange.take() {
        Some(mut exchange) => {
            exchange.respond(answer.head_mut());
            answer
                .map_body(|head, body| BoxBody::new(ObservedBody::new(head.status, body, exchange)))
        }
        None => answer,
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

impl<B: MessageBody, O: Observe> ObservedBody<B, O> {
    fn new(status: StatusCode, body: B, mut exchange: Exchange<O>) -> Self {
        let size = match (status, body.size()) {
            // Such a body is not asked for.
            _ if exchange.state().is_head => Some(0),
            (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) | (_, BodySize::None) => Some(0),
            (_, BodySize::Sized(size)) => Some(size),
            (_, BodySize::Stream) => None,
        };
        exchange.outcome().complete = size == Some(0);
        Self {
            body,
            size,
            exchange,
        }
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
    request: RequestContext,
    is_head: bool,
    started: Instant,
    outcome: Outcome,
}

impl<O: Observe> Exchange<O> {
    fn begin(watch: &Rc<Watch<O>>, req: &ServiceRequest) -> Self {
        let outcome = Outcome {
            route: RouteId::UNMATCHED,
            status: None,
            bytes: 0,
            elapsed: Duration::ZERO,
            complete: false,
        };
        let started = Instant::now();
        let is_head = req.method() == Method::HEAD;
        let spare = watch.spare.borrow_mut().pop();
        let mut state = match spare {
            Some(mut state) => {
                state.request.renew(req, &watch.proxies);
                state.is_head = is_head;
                state.started = started;
                state.outcome = outcome;
                state
            }
            None => Box::new(State {
                record: O::Record::default(),
                request: RequestContext::new(req, &watch.table, &watch.proxies),
                is_head,
                started,
                outcome,
            }),
        };
        watch.observer.begin(&mut state.record, req);
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
    fn enter(&self) -> Option<Entered> {
        self.state.as_ref().map(|state| state.request.enter())
    }

    fn outcome(&mut self) -> &mut Outcome {
        &mut self.state().outcome
    }

    fn respond(&mut self, head: &mut ResponseHead) {
        let state = self.state();
        let id = state.request.request_id().header_value();
        head.headers_mut().insert(X_REQUEST_ID, id);
        state.outcome.status = Some(head.status);
    }
}

impl<O: Observe> Drop for Exchange<O> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else {
            return;
        };
        state.outcome.elapsed = state.started.elapsed();
        state.outcome.route = state.request.route_id();
        let observer = &self.watch.observer;
        observer.end(&mut state.record, &state.request, &state.outcome);
        let mut spare = self.watch.spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(state);
        }
    }
}
