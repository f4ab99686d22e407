//! What a request may cost before a handler sees it.

use std::{
    cell::Cell,
    future::{Future, Ready, ready},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage,
    body::BoxBody,
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::PayloadError,
    http::{Uri, header},
    rt::time::{Instant, Sleep, sleep_until},
    web::Bytes,
};
use futures_util::{Stream, future::Either};

use crate::{Problem, Timeout};

/// The longest request target that is read, in bytes; RFC 9110 asks for at least 8000.
pub(crate) const MAX_TARGET_BYTES: usize = 8192;

/// Middleware that holds every request to the limits, whatever its handler does:
///
/// - a target longer than 8 KiB is a 414,
/// - a body larger than `max_body_bytes` is a 413, at once where `Content-Length` admits it, else
///   when the byte too many arrives,
/// - a body that is not there after `body_timeout` is a 408.
///
/// What is left of a body when its request has been answered is not read: the connection closes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a client may take to deliver the whole body.
    pub body_timeout: Timeout,
}

impl<S> Transform<S, ServiceRequest> for Limits
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = LimitsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(LimitsService {
            service,
            limits: self.clone(),
        }))
    }
}

/// In a box, since it is rare: whatever is not there need not be moved around with every request.
type Refusal = Box<Ready<Result<ServiceResponse, Error>>>;

#[derive(Debug)]
pub struct LimitsService<S> {
    service: S,
    limits: Limits,
}

impl<S> Service<ServiceRequest> for LimitsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Either<S::Future, Refusal>;

    forward_ready!(service);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        match self.limits.admit(&mut req) {
            Ok(()) => Either::Left(self.service.call(req)),
            Err(problem) => {
                let refusal = ready(Ok(req.into_response(problem.to_response())));
                Either::Right(Box::new(refusal))
            }
        }
    }
}

impl Limits {
    fn admit(&self, req: &mut ServiceRequest) -> Result<(), Problem> {
        if target_length(req.uri()) > MAX_TARGET_BYTES {
            return Err(Problem::uri_too_long(MAX_TARGET_BYTES));
        }
        let announced = req.headers().get(header::CONTENT_LENGTH);
        // What comes on an upgraded connection is no body: it has no length, and the application limits it.
        let has_body = announced.is_some() || req.headers().contains_key(header::TRANSFER_ENCODING);
        if !has_body || matches!(req.parts().1, Payload::None) {
            return Ok(());
        }
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max_body_bytes as u64) {
            return Err(Problem::body_too_large(self.max_body_bytes));
        }
        let progress = BodyProgress::default();
        let body = LimitedBody {
            inner: req.take_payload(),
            limit: self.max_body_bytes,
            remaining: self.max_body_bytes,
            deadline: Instant::now() + self.body_timeout.get(),
            timer: None,
            progress: progress.clone(),
        };
        req.set_payload(Payload::Stream {
            payload: Box::pin(body),
        });
        req.extensions_mut().insert(progress);
        Ok(())
    }
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

/// What became of a request's body so far, for whoever has to answer for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyProgress(Rc<Cell<Progress>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nobody is waiting for the client.
    #[default]
    Flowing,
    /// The handler waits for more of it.
    Waiting,
    /// It did not arrive in time.
    TimedOut,
    /// It is larger than this many bytes.
    TooLarge(usize),
}

impl BodyProgress {
    pub(crate) fn get(&self) -> Progress {
        self.0.get()
    }
}

struct LimitedBody {
    inner: Payload,
    limit: usize,
    remaining: usize,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    progress: BodyProgress,
}

impl Stream for LimitedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                if let Some(remaining) = this.remaining.checked_sub(chunk.len()) {
                    this.remaining = remaining;
                    this.progress.0.set(Progress::Flowing);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                this.progress.0.set(Progress::TooLarge(this.limit));
                Poll::Ready(Some(Err(PayloadError::Overflow)))
            }
            Poll::Ready(end) => {
                this.progress.0.set(Progress::Flowing);
                Poll::Ready(end)
            }
            Poll::Pending => {
                let deadline = this.deadline;
                let timer = this
                    .timer
                    .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if timer.as_mut().poll(cx).is_pending() {
                    this.progress.0.set(Progress::Waiting);
                    return Poll::Pending;
                }
                this.progress.0.set(Progress::TimedOut);
                Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}
