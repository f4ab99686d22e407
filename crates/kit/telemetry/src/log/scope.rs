//! Which request a line belongs to.
//!
//! While anything of a request is polled, its ids stand in a place of the worker's thread, where the formats
//! find them. They are moved there and back, so a request that waits leaves nothing behind for another.

use std::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use berth_kit_http::{RequestId, RouteId, Routes, TraceId};
use pin_project_lite::pin_project;

thread_local! {
    static CURRENT: RefCell<Scope> = RefCell::default();
}

/// The request that is being handled, or none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) request_id: RequestId,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) route: Option<(Arc<Routes>, RouteId)>,
}

impl Scope {
    /// What is current becomes this, and this what was current.
    pub(crate) fn swap(&mut self) {
        // There is no place any more once the thread ends.
        let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), self));
    }
}

/// What a line has of its request.
pub(super) struct Fields<'a> {
    pub(super) request_id: &'a str,
    pub(super) trace_id: Option<&'a str>,
    pub(super) route: Option<&'a str>,
}

/// Hands out what is known of the current request; `None` outside of any.
pub(super) fn current<R>(read: impl FnOnce(Option<Fields<'_>>) -> R) -> R {
    CURRENT.with_borrow(|scope| {
        let request_id = std::str::from_utf8(scope.request_id.as_bytes()).unwrap_or_default();
        let trace_id = scope.trace_id.as_ref().map(TraceId::as_bytes);
        read((!request_id.is_empty()).then(|| Fields {
            request_id,
            trace_id: trace_id.and_then(|id| std::str::from_utf8(id).ok()),
            route: scope.route.as_ref().map(|(routes, id)| routes.name(*id)),
        }))
    })
}

pin_project! {
    /// A future whose log lines belong to the request in which it was made; see [`in_request`].
    #[must_use = "a future does nothing until it is polled"]
    pub struct InRequest<F> {
        scope: Scope,
        #[pin]
        future: F,
    }
}

/// Has the log lines of `future` carry the ids of the request that is being handled now, wherever and however
/// long it runs: for what a handler spawns.
///
/// ```no_run
/// # use berth_kit_telemetry::log::in_request;
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
        scope: CURRENT.with_borrow(Clone::clone),
        future,
    }
}

impl<F: Future> Future for InRequest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let entered = Entered::new(this.scope);
        let polled = this.future.poll(cx);
        drop(entered);
        polled
    }
}

/// A scope that is current until this is dropped, by a panic, too.
struct Entered<'a>(&'a mut Scope);

impl<'a> Entered<'a> {
    fn new(scope: &'a mut Scope) -> Self {
        scope.swap();
        Self(scope)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.swap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(id: &str) -> Scope {
        let mut scope = Scope::default();
        let mut headers = actix_web::http::header::HeaderMap::new();
        headers.insert(berth_kit_http::context::X_REQUEST_ID, id.parse().unwrap());
        scope.request_id.set(&headers);
        scope
    }

    fn seen() -> Option<String> {
        current(|fields| fields.map(|fields| fields.request_id.to_owned()))
    }

    #[actix_web::test]
    async fn each_future_sees_its_own_request_and_nobody_elses() {
        assert_eq!(seen(), None);
        let (mut a, mut b) = (scope("a"), scope("b"));
        a.swap();
        let child = in_request(async {
            let before = seen();
            actix_web::rt::task::yield_now().await;
            (before, seen())
        });
        b.swap();
        assert_eq!(seen().as_deref(), Some("b"));
        b.swap();
        a.swap();
        assert_eq!(seen(), None);
        let child = actix_web::rt::spawn(child);
        let of_a = || Some("a".to_owned());
        assert_eq!(child.await.unwrap(), (of_a(), of_a()));
        assert_eq!(seen(), None);
    }

    #[actix_web::test]
    async fn a_panic_leaves_nothing_behind() {
        let mut a = scope("a");
        a.swap();
        let child = in_request(async { panic!("oh") });
        a.swap();
        assert!(actix_web::rt::spawn(child).await.is_err());
        assert_eq!(seen(), None);
    }
}
