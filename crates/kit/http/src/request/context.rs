//! The request that is being handled.
//!
//! While anything of a request is polled, its [`RequestContext`] stands in a place of the worker's thread.
//! There the log finds its ids, handlers find it as an extractor, and what lies between finds its limits. It is
//! taken out again after each poll, so a request that waits leaves nothing behind for another.

use std::{
    cell::RefCell,
    future::Future,
    mem,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use actix_web::dev::ServiceRequest;
use pin_project_lite::pin_project;

use super::{
    client::{self, TrustedProxies},
    ids::{RequestId, TraceId},
};
use crate::table::{RouteId, RouteTable};

thread_local! {
    static CURRENT: RefCell<Option<RequestContext>> = const { RefCell::new(None) };
}

/// Not yet found; there are never so many routes.
const UNKNOWN: u16 = u16::MAX;

/// No limit of the route's own.
const UNSET: u64 = u64::MAX;

/// What is known of a request: its ids, its route, and the limits that hold for it. A handler takes it as an
/// extractor; a clone is a pointer.
///
/// ```
/// use actix_web::{Responder, get};
/// use berth_kit_http::RequestContext;
///
/// #[get("/who")]
/// async fn who(request: RequestContext) -> impl Responder {
///     // For a call to another service, whatever the client is.
///     for (name, value) in request.outbound_headers() {
///         log::debug!("{name}: {value}");
///     }
///     request.id().to_owned()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: RequestId,
    trace: Option<TraceId>,
    client: Option<IpAddr>,
    /// As the router sees it, decoded.
    path: String,
    table: Arc<RouteTable>,
    /// Its place in the table; [`UNKNOWN`] as long as nobody has asked.
    route: AtomicU16,
    /// In microseconds.
    timeout: AtomicU64,
    max_body: AtomicUsize,
    /// The length of the body, in bytes, as the request says.
    announced: AtomicU64,
    body: AtomicU8,
}

/// What became of a request's body so far, for whoever has to answer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BodyProgress {
    /// Nobody is waiting for the client.
    Flowing,
    /// The handler waits for more of it.
    Waiting,
    /// It did not arrive in time.
    TimedOut,
    /// It is larger than allowed.
    TooLarge,
    /// There is no memory for more of it.
    Shed,
}

impl RequestContext {
    /// Of a request that has just arrived.
    pub(crate) fn new(
        req: &ServiceRequest,
        table: &Arc<RouteTable>,
        proxies: &TrustedProxies,
    ) -> Self {
        let mut inner = Inner {
            id: RequestId::default(),
            trace: None,
            client: None,
            path: String::new(),
            table: Arc::clone(table),
            route: AtomicU16::new(UNKNOWN),
            timeout: AtomicU64::new(UNSET),
            max_body: AtomicUsize::new(usize::MAX),
            announced: AtomicU64::new(0),
            body: AtomicU8::new(BodyProgress::Flowing as u8),
        };
        inner.become_of(req, proxies);
        Self(Arc::new(inner))
    }

    /// Becomes that of another request of the same port. What it has allocated is used again, unless something
    /// still holds on to it.
    pub(crate) fn renew(&mut self, req: &ServiceRequest, proxies: &TrustedProxies) {
        match Arc::get_mut(&mut self.0) {
            Some(inner) => inner.become_of(req, proxies),
            None => *self = Self::new(req, &self.0.table, proxies),
        }
    }

    /// The request that is being handled now, by this thread; `None` outside of any.
    #[must_use]
    pub fn current() -> Option<Self> {
        // Something may still be logged while the thread ends, and its values with it.
        let current = CURRENT.try_with(|current| current.borrow().clone());
        current.ok().flatten()
    }

    /// Hands out the request that is being handled now.
    pub fn with_current<R>(read: impl FnOnce(Option<&Self>) -> R) -> R {
        read(Self::current().as_ref())
    }

    /// The request id: the client's `X-Request-Id` where it was sane, else one of our own.
    #[must_use]
    pub fn id(&self) -> &str {
        std::str::from_utf8(self.0.id.as_bytes()).unwrap_or_default()
    }

    /// As [`id`](Self::id), for who writes bytes.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    /// As [`trace_id`](Self::trace_id), for who writes bytes.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceId> {
        self.0.trace.as_ref()
    }

    /// The trace that it belongs to, where its `traceparent` names one: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        let trace = self.0.trace.as_ref()?;
        std::str::from_utf8(trace.as_bytes()).ok()
    }

    /// The client's address: the peer's, or what a proxy says that `server.trusted_proxies` names. `None` where the
    /// request came by no socket, as in a unit test.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// The route that it belongs to, by its path, whatever its method.
    #[must_use]
    pub fn route(&self) -> &str {
        self.0.table.name(self.route_id())
    }

    pub(crate) fn route_id(&self) -> RouteId {
        match self.0.route.load(Ordering::Relaxed) {
            UNKNOWN => {
                let route = self.0.table.find(&self.0.path);
                self.0.route.store(route.into(), Ordering::Relaxed);
                route
            }
            known => RouteId::from(known),
        }
    }

    /// It has been answered, by the route with this pattern.
    pub(crate) fn answered_by(&self, pattern: impl FnOnce() -> Option<String>) {
        let Inner { table, path, .. } = &*self.0;
        let only = table.only(path);
        let route = only.or_else(|| table.by_pattern(&pattern()?));
        if let Some(route) = route {
            // Whoever has asked before has found it by the path, which may be another one's, too.
            self.0.route.store(route.into(), Ordering::Relaxed);
        }
    }

    /// As the router sees it, decoded.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    pub(crate) fn table(&self) -> &RouteTable {
        &self.0.table
    }

    /// What a call to another service on behalf of this request carries, so that its log lines and traces are
    /// found together with these: `x-request-id`, and `traceparent` where the request had one.
    pub fn outbound_headers(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let id = (X_REQUEST_ID, self.id().to_owned());
        let trace = self.0.trace.as_ref().map(TraceId::traceparent);
        std::iter::once(id).chain(trace.map(|value| (TRACEPARENT, value)))
    }

    /// Runs `work` with its log lines carrying the ids of this request: for what runs on another thread, such
    /// as `web::block(move || request.run(|| …))`.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        work()
    }

    /// It is current until what this gives is dropped, by a panic, too.
    pub(crate) fn enter(&self) -> Entered {
        Entered(CURRENT.replace(Some(self.clone())))
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        let micros = self.0.timeout.load(Ordering::Relaxed);
        (micros != UNSET).then(|| Duration::from_micros(micros))
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        let micros = u64::try_from(timeout.as_micros()).unwrap_or(UNSET);
        self.0
            .timeout
            .store(micros.min(UNSET - 1), Ordering::Relaxed);
    }

    /// In bytes.
    pub(crate) fn max_body(&self) -> Option<usize> {
        let bytes = self.0.max_body.load(Ordering::Relaxed);
        (bytes != usize::MAX).then_some(bytes)
    }

    pub(crate) fn set_max_body(&self, bytes: usize) {
        self.0
            .max_body
            .store(bytes.min(usize::MAX - 1), Ordering::Relaxed);
    }

    /// In bytes; 0 where the request has no body, or does not say.
    pub(crate) fn announced(&self) -> u64 {
        self.0.announced.load(Ordering::Relaxed)
    }

    pub(crate) fn announce(&self, bytes: u64) {
        self.0.announced.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn body(&self) -> BodyProgress {
        match self.0.body.load(Ordering::Relaxed) {
            0 => BodyProgress::Flowing,
            1 => BodyProgress::Waiting,
            2 => BodyProgress::TimedOut,
            3 => BodyProgress::TooLarge,
            _ => BodyProgress::Shed,
        }
    }

    pub(crate) fn set_body(&self, progress: BodyProgress) {
        self.0.body.store(progress as u8, Ordering::Relaxed);
    }
}

impl Inner {
    fn become_of(&mut self, req: &ServiceRequest, proxies: &TrustedProxies) {
        self.id.set(req.headers());
        self.trace = TraceId::of(req.headers());
        self.client = client::client(proxies, req.peer_addr(), req.headers());
        self.path.clear();
        self.path.push_str(req.match_info().as_str());
        self.route = AtomicU16::new(UNKNOWN);
        self.timeout = AtomicU64::new(UNSET);
        self.max_body = AtomicUsize::new(usize::MAX);
        self.announced = AtomicU64::new(0);
        self.body = AtomicU8::new(BodyProgress::Flowing as u8);
    }
}

const X_REQUEST_ID: &str = "x-request-id";
const TRACEPARENT: &str = "traceparent";

/// Puts back what was current before.
#[derive(Debug)]
pub(crate) struct Entered(Option<RequestContext>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        // There is no place any more once the thread ends.
        let _ = CURRENT.try_with(|current| mem::replace(&mut *current.borrow_mut(), before));
    }
}

pin_project! {
    /// A future whose log lines belong to the request in which it was made; see [`in_request`].
    #[must_use = "a future does nothing until it is polled"]
    pub struct InRequest<F> {
        request: Option<RequestContext>,
        #[pin]
        future: F,
    }
}

/// Has the log lines of `future` carry the ids of the request that is being handled now, wherever and however
/// long it runs: for what a handler spawns.
///
/// ```no_run
/// # use berth_kit_http::in_request;
/// # async fn send_mail() {}
/// # async fn handler() {
/// actix_web::rt::spawn(in_request(async {
///     log::info!("sending"); // with the request's id
///     send_mail().await;
/// }));
/// # }
/// ```
pub fn in_request<F: Future>(future: F) -> InRequest<F> {
    InRequest {
        request: RequestContext::current(),
        future,
    }
}

impl<F: Future> Future for InRequest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let entered = this.request.as_ref().map(RequestContext::enter);
        let polled = this.future.poll(cx);
        drop(entered);
        polled
    }
}

#[cfg(test)]
mod tests;
