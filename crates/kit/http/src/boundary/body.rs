//! The body of a request, held to its limits.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage as _,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::header,
    rt::time::{Instant, Sleep, sleep_until},
    web::Bytes,
};
use futures_util::Stream;

use super::{
    shedding::{self, ShedReason, Shedding},
    timeout::Timeout,
};
use crate::{
    problem::Problem,
    request::context::{BodyProgress, RequestContext},
};

/// What holds for every request that its route has no limits of its own for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a client may take to deliver the whole body, and a handler until its answer begins.
    pub timeout: Timeout,
    /// What is refused because there is too much to do.
    pub shedding: Option<Shedding>,
}

impl Limits {
    /// In bytes.
    pub(crate) fn max_body(&self, request: &RequestContext) -> usize {
        request.max_body().unwrap_or(self.max_body_bytes)
    }

    /// The problem with the request's body that explains why its handler got nowhere, if there is one;
    /// `time_is_over` where the handler has not come to an end.
    pub(crate) fn clients_fault(
        &self,
        request: &RequestContext,
        time_is_over: bool,
    ) -> Option<Problem> {
        match request.body() {
            // Nobody has come to read it.
            BodyProgress::Flowing if self.is_too_much(request) => {
                Some(Problem::body_too_large(self.max_body(request)))
            }
            BodyProgress::Flowing => None,
            // A handler that did not want to wait has an answer of its own.
            BodyProgress::Waiting if !time_is_over => None,
            BodyProgress::Waiting | BodyProgress::TimedOut => Some(Problem::body_too_slow()),
            BodyProgress::Shed => Some(shedding::problem(ShedReason::Memory)),
            BodyProgress::TooLarge => Some(Problem::body_too_large(self.max_body(request))),
        }
    }

    /// Whether the request says that its body is larger than allowed.
    fn is_too_much(&self, request: &RequestContext) -> bool {
        request.announced() > self.max_body(request) as u64
    }

    /// Has whoever reads the body of `req` read it within the limits.
    pub(crate) fn hold(&self, req: &mut ServiceRequest, request: &RequestContext) {
        if matches!(req.parts().1, Payload::None) {
            return;
        }
        let announced = req.headers().get(header::CONTENT_LENGTH);
        // What comes on an upgraded connection is no body: it has no length, and the application limits it.
        if announced.is_none() && !req.headers().contains_key(header::TRANSFER_ENCODING) {
            return;
        }
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        request.announce(announced.unwrap_or_default());
        let body = LimitedBody {
            inner: req.take_payload(),
            limits: self.clone(),
            request: request.clone(),
            received: 0,
            has_failed: false,
            started: Instant::now(),
            timer: None,
        };
        req.set_payload(Payload::Stream {
            payload: Box::pin(body),
        });
    }
}

struct LimitedBody {
    inner: Payload,
    limits: Limits,
    request: RequestContext,
    received: usize,
    has_failed: bool,
    started: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl LimitedBody {
    fn fail(
        &mut self,
        progress: BodyProgress,
        error: PayloadError,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.request.set_body(progress);
        self.has_failed = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for LimitedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // A handler that goes on reading after an error must come to an end.
        if this.has_failed {
            return Poll::Ready(None);
        }
        // By now the route has said what holds for it.
        let limit = this.limits.max_body(&this.request);
        if this.limits.is_too_much(&this.request) {
            return this.fail(BodyProgress::TooLarge, PayloadError::Overflow);
        }
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.received = this.received.saturating_add(chunk.len());
                if this.received > limit {
                    return this.fail(BodyProgress::TooLarge, PayloadError::Overflow);
                }
                if let Some(shedding) = &this.limits.shedding
                    && shedding.read_on(&this.request, this.received).is_err()
                {
                    let error = PayloadError::Io(io::ErrorKind::OutOfMemory.into());
                    return this.fail(BodyProgress::Shed, error);
                }
                this.request.set_body(BodyProgress::Flowing);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(end) => {
                this.request.set_body(BodyProgress::Flowing);
                Poll::Ready(end)
            }
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| {
                    let allowed = this.request.timeout();
                    let allowed = allowed.unwrap_or_else(|| this.limits.timeout.get());
                    Box::pin(sleep_until(this.started + allowed))
                });
                if timer.as_mut().poll(cx).is_pending() {
                    this.request.set_body(BodyProgress::Waiting);
                    return Poll::Pending;
                }
                let error = PayloadError::Io(io::ErrorKind::TimedOut.into());
                this.fail(BodyProgress::TimedOut, error)
            }
        }
    }
}
