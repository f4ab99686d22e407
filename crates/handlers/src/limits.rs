//! What a request may cost before a handler sees it.

use std::{
    cell::{Cell, RefCell},
    future::{Future, Ready, ready},
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{
        Payload, RequestHead, Service, ServiceRequest, ServiceResponse, Transform, forward_ready,
    },
    error::PayloadError,
    http::header::{self, HeaderValue},
    rt::time::{Instant, Sleep, sleep_until},
    web::Bytes,
};
use futures_util::{Stream, future::Either};
use pin_project_lite::pin_project;

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
    type Future = Either<S::Future, Either<Pin<Box<Held<S::Future>>>, Refusal>>;

    forward_ready!(service);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        match self.limits.admit(&mut req) {
            Ok(None) => Either::Left(self.service.call(req)),
            Ok(Some(body)) => Either::Right(Either::Left(Box::pin(Held {
                call: self.service.call(req),
                body: Some(body),
            }))),
            Err(problem) => {
                let refusal = ready(Ok(req.into_response(problem.to_response())));
                Either::Right(Either::Right(Box::new(refusal)))
            }
        }
    }
}

/// A request's body, shared between whoever reads it and its answer.
type Shared = Rc<RefCell<Payload>>;

pin_project! {
    /// The call of a request with a chunked body, which lives as long as the answer.
    ///
    /// Where a body without a length is dropped unread, actix reads on until its end, so that the
    /// connection can be used again, however far away that end is. A body that is still there when
    /// the answer is sent makes actix close the connection, as it does where the length is known.
    pub struct Held<F> {
        #[pin]
        call: F,
        body: Option<Shared>,
    }
}

impl<F> Future for Held<F>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        let held = this.body.take();
        Poll::Ready(result.map(|response| {
            response.map_body(|_, body| BoxBody::new(Answer { body, _held: held }))
        }))
    }
}

pin_project! {
    /// The body of an answer, with that of its request.
    struct Answer {
        #[pin]
        body: BoxBody,
        _held: Option<Shared>,
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(cx)
    }
}

impl Limits {
    /// Gives the request's body where it must live as long as the answer.
    fn admit(&self, req: &mut ServiceRequest) -> Result<Option<Shared>, Problem> {
        let target = req.uri().path_and_query().map_or(0, |t| t.as_str().len());
        if target > MAX_TARGET_BYTES {
            return Err(Problem::uri_too_long(MAX_TARGET_BYTES));
        }
        if matches!(req.parts().1, Payload::None) {
            return Ok(None);
        }
        keep_apart(req.head_mut());
        let payload = req.take_payload();
        let announced = req
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max_body_bytes as u64) {
            // Put back unread: the connection's owner has to see that a body is still coming.
            req.set_payload(payload);
            return Err(Problem::body_too_large(self.max_body_bytes));
        }
        let progress = BodyProgress::default();
        let payload = Rc::new(RefCell::new(payload));
        let held = announced.is_none().then(|| Rc::clone(&payload));
        req.set_payload(Payload::Stream {
            payload: Box::pin(LimitedBody {
                inner: payload,
                limit: self.max_body_bytes,
                remaining: self.max_body_bytes,
                deadline: Instant::now() + self.body_timeout.get(),
                timer: None,
                progress: progress.clone(),
            }),
        });
        req.extensions_mut().insert(progress);
        Ok(held)
    }
}

/// Copies the values of the headers, which lie in the buffer that the head was read into. actix keeps
/// 128 requests a worker for later ones, and each would keep all that was read along with its head.
fn keep_apart(head: &mut RequestHead) {
    for (name, value) in mem::take(&mut head.headers) {
        let copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or(value);
        head.headers.append(name, copy);
    }
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
    inner: Shared,
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
        match Pin::new(&mut *this.inner.borrow_mut()).poll_next(cx) {
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

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderName, test::TestRequest};

    use super::*;

    #[test]
    fn headers_that_keep_apart_are_the_same() {
        let read = Bytes::from_static(b"one two \xff");
        let mut req = TestRequest::default().to_srv_request();
        let head = req.head_mut();
        let name = HeaderName::from_static("x-many");
        for part in [0..3, 4..7, 8..9, 0..0] {
            let value = HeaderValue::from_maybe_shared(read.slice(part)).unwrap();
            head.headers.append(name.clone(), value);
        }
        head.headers
            .append(header::ALLOW, HeaderValue::from_static("x"));
        let before = head.headers.clone();
        keep_apart(head);
        let values = |headers: &header::HeaderMap| -> Vec<_> {
            headers
                .get_all(&name)
                .map(HeaderValue::as_bytes)
                .map(<[u8]>::to_vec)
                .collect()
        };
        assert_eq!(values(&head.headers), values(&before));
        assert_eq!(values(&head.headers), [&b"one"[..], b"two", b"\xff", b""]);
        assert_eq!(head.headers.len(), 5);

        // Nothing holds what was read.
        drop(before);
        let read = Bytes::from(b"value".to_vec());
        head.headers
            .insert(name, HeaderValue::from_maybe_shared(read.clone()).unwrap());
        assert!(!read.is_unique());
        keep_apart(head);
        assert!(read.is_unique());
    }
}
