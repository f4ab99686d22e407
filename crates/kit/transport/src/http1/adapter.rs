//! hyper's requests for actix, and actix's answers for hyper.
//!
//! hyper has version 1 of the crate `http`, actix version 0.2, so each name and value is written anew: into
//! one buffer a message, of which the values are slices. What does not convert is refused.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_http::{
    BoxedPayloadStream, ConnectionType, HttpMessage as _, Payload, Request, Response, ResponseHead,
    StatusCode,
    body::{BodySize, BoxBody, EitherBody, MessageBody},
    header::{self as actix_header, HeaderName, HeaderValue},
};
use actix_service::Service;
use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::{Method, Version, body::Incoming, header, http::request::Parts};
use pin_project_lite::pin_project;

use super::{
    body::{AnswerBody, IncomingBody},
    date,
};
use crate::{
    events::{Events, Refusal, RefusalBody},
    framing::{self, Length, Wrong},
    stop::StopToken,
    stream::{
        activity::{Activity, RequestBody},
        upgrade::{Upgrade, UpgradeInput},
    },
};

/// What answers on one connection.
pub(crate) struct Adapter<S, B, E> {
    pub(crate) application: Rc<S>,
    pub(crate) events: Rc<E>,
    pub(crate) peer: SocketAddr,
    pub(crate) stop: StopToken,
    pub(crate) activity: Rc<Activity>,
    /// The protocol that the connection is upgraded to, once a request has been answered so.
    pub(crate) upgrade: Rc<RefCell<Option<Upgrade<EitherBody<B>>>>>,
}

impl<S, B, E> hyper::service::Service<hyper::Request<Incoming>> for Adapter<S, B, E>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
    E: Events,
{
    type Response = hyper::Response<AnswerBody<EitherBody<B>>>;
    type Error = Infallible;
    type Future = Answering<S::Future, B>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        let length = Length::of(&body);
        let has_body = length != Length::None;
        let body = has_body.then(|| IncomingBody::new(body, Rc::clone(&self.activity)));
        let checked = framing::check(&head, length, &self.activity.recent.borrow());
        self.activity.request(length);
        // Where the request has a body, what follows its head is that.
        let input = (!has_body && asks_for_upgrade(&head))
            .then(|| UpgradeInput::new(Rc::clone(&self.activity)));
        let call = checked.and_then(|()| {
            let payload: Option<BoxedPayloadStream> = match (body, &input) {
                (Some(body), _) => Some(Box::pin(body)),
                (None, Some(input)) => Some(Box::pin(input.stream())),
                (None, None) => None,
            };
            let payload = payload.map_or(Payload::None, |payload| Payload::Stream { payload });
            let request = convert_request(&head, payload, self.peer)?;
            if input.is_some() {
                request.extensions_mut().insert(self.stop.clone());
            }
            self.activity.in_application.set(true);
            let call = self.application.call(request);
            self.activity.in_application.set(false);
            Ok(call)
        });
        let call = match call {
            Ok(call) => Call::Application { call },
            Err(wrong) => Call::Refused {
                answer: Some(refuse(&*self.events, self.peer, wrong)),
            },
        };
        Answering {
            call,
            input,
            method: head.method,
            version: head.version,
            stop: self.stop.clone(),
            activity: Rc::clone(&self.activity),
            upgrade: Rc::clone(&self.upgrade),
        }
    }
}

fn asks_for_upgrade(head: &Parts) -> bool {
    head.version == Version::HTTP_11
        && head.headers.contains_key(header::UPGRADE)
        && framing::asks_for_upgrade(&head.headers)
}

pin_project! {
    /// The time until the head of an answer.
    pub(crate) struct Answering<F, B> {
        #[pin]
        call: Call<F>,
        input: Option<UpgradeInput>,
        method: Method,
        version: Version,
        stop: StopToken,
        activity: Rc<Activity>,
        upgrade: Rc<RefCell<Option<Upgrade<EitherBody<B>>>>>,
    }
}

pin_project! {
    #[project = CallProjection]
    enum Call<F> {
        Application { #[pin] call: F },
        Refused { answer: Option<Response<BoxBody>> },
    }
}

impl<F, R, X, B> Future for Answering<F, B>
where
    F: Future<Output = Result<R, X>>,
    R: Into<Response<B>>,
    X: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    type Output = Result<hyper::Response<AnswerBody<EitherBody<B>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.call.project() {
            CallProjection::Application { call } => {
                this.activity.in_application.set(true);
                let answer = call.poll(cx);
                this.activity.in_application.set(false);
                match ready!(answer) {
                    Ok(response) => response.into().map_body(|_, body| EitherBody::left(body)),
                    Err(error) => error.into().map_body(|_, body| EitherBody::right(body)),
                }
            }
            CallProjection::Refused { answer } => answer
                .take()
                .expect("a future is not polled after it is done")
                .map_body(|_, body| EitherBody::right(body)),
        };
        let (answer, body) = answer.into_parts();
        let head = answer.head();
        // 101 to a request that has not asked for it would leave a stream that nobody reads.
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let body = match (switches, this.input.take()) {
            (true, Some(input)) => {
                input.begin();
                *this.upgrade.borrow_mut() = Some(Upgrade { input, body });
                None
            }
            (false, input) => {
                if let Some(input) = input {
                    input.decline();
                }
                Some(body)
            }
            (true, None) => {
                log::error!("a handler answered 101 to a request that asked for no other protocol");
                return Poll::Ready(Ok(failed(this.activity)));
            }
        };
        let size = body.as_ref().map_or(BodySize::None, MessageBody::size);
        let closes = head.connection_type() == ConnectionType::Close
            || *this.method == Method::CONNECT
            // Its end is the connection's: HTTP/1.0 has no chunks.
            || (*this.version == Version::HTTP_10 && matches!(size, BodySize::Stream))
            || this.activity.request_body.get() == RequestBody::Abandoned
            || this.stop.is_requested();
        let is_head = *this.method == Method::HEAD;
        let answer = convert_head(head, size, is_head, closes);
        Poll::Ready(Ok(if let Some((mut answer, closes)) = answer {
            if closes {
                // Or hyper would tell a client of HTTP/1.0 that the connection goes on, too.
                *answer.version_mut() = *this.version;
            }
            answer.map(|()| AnswerBody::new(body, this.activity))
        } else {
            log::error!("a handler gave an answer that is not HTTP");
            failed(this.activity)
        }))
    }
}

/// Whether a `Connection` says so.
fn says_close(value: &HeaderValue) -> bool {
    let options = value
        .to_str()
        .into_iter()
        .flat_map(|value| value.split(','));
    options
        .map(str::trim)
        .any(|option| option.eq_ignore_ascii_case("close"))
}

/// 500, for an answer that cannot be sent.
fn failed<B>(activity: &Rc<Activity>) -> hyper::Response<AnswerBody<B>> {
    let mut answer = hyper::Response::new(AnswerBody::new(None, activity));
    *answer.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    let close = header::HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

/// The answer to what has no single meaning. The connection closes after it.
fn refuse(events: &impl Events, peer: SocketAddr, (status, detail): Wrong) -> Response<BoxBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let RefusalBody { headers, bytes } = events.refused(&Refusal {
        status,
        peer,
        detail,
    });
    let mut answer = Response::build(status);
    answer.force_close();
    for header in headers {
        answer.append_header(header);
    }
    answer.body(bytes).map_into_boxed_body()
}

/// The same request as actix has it.
pub(crate) fn convert_request(
    head: &Parts,
    payload: Payload,
    peer: SocketAddr,
) -> Result<Request, Wrong> {
    let mut request = Request::with_payload(payload);
    let converted = request.head_mut();
    converted.method = actix_http::Method::from_bytes(head.method.as_str().as_bytes())
        .map_err(|_| (400, "the method is not one of HTTP"))?;
    converted.version = match head.version {
        Version::HTTP_10 => actix_http::Version::HTTP_10,
        Version::HTTP_11 => actix_http::Version::HTTP_11,
        _ => return Err((400, "the version of HTTP is neither 1.0 nor 1.1")),
    };
    converted.peer_addr = Some(peer);

    let lengths: usize = head.headers.values().map(header::HeaderValue::len).sum();
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let mut buffer = BytesMut::with_capacity(lengths + target.len());
    let mut part = |bytes: &[u8]| {
        buffer.put_slice(bytes);
        buffer.split().freeze()
    };
    let uri = if head.uri.authority().is_some() || head.uri.scheme().is_some() {
        actix_http::Uri::try_from(head.uri.to_string())
    } else {
        actix_http::Uri::from_maybe_shared(part(target.as_bytes()))
    };
    converted.uri = uri.map_err(|_| (400, "the target is not a path or URI"))?;
    for (name, value) in &head.headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_maybe_shared(part(value.as_bytes()));
        match (name, value) {
            (Ok(name), Ok(value)) => converted.headers.append(name, value),
            _ => return Err((400, "a header is not one of HTTP")),
        }
    }
    Ok(request)
}

/// The same head as hyper has it, and whether the connection closes, which the head may say, too. `None` where it cannot
/// be sent.
pub(crate) fn convert_head(
    head: &ResponseHead,
    size: BodySize,
    is_head: bool,
    mut closes: bool,
) -> Option<(hyper::Response<()>, bool)> {
    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    let mut answer = hyper::Response::new(());
    *answer.status_mut() = hyper::StatusCode::from_u16(head.status.as_u16()).ok()?;
    let lengths = head.headers.iter().map(|(_, value)| value.len()).sum();
    let mut buffer = BytesMut::with_capacity(lengths);
    let headers = answer.headers_mut();
    headers.reserve(head.headers.len() + 2);
    let mut has_date = false;
    for (name, value) in &head.headers {
        match *name {
            // hyper says how the body is sent, and whether the connection goes on.
            actix_header::TRANSFER_ENCODING => continue,
            actix_header::CONNECTION => {
                closes |= says_close(value);
                continue;
            }
            actix_header::CONTENT_LENGTH if !keeps_length(head.status, size, is_head) => continue,
            // Of these hyper would make no answer at all.
            actix_header::CONTENT_LENGTH
                if !is_length(value) || headers.contains_key(header::CONTENT_LENGTH) =>
            {
                return None;
            }
            actix_header::DATE => has_date = true,
            _ => {}
        }
        let name = header::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        buffer.put_slice(value.as_bytes());
        let value: Bytes = buffer.split().freeze();
        headers.append(name, header::HeaderValue::from_maybe_shared(value).ok()?);
    }
    if !has_date {
        headers.append(header::DATE, date::now());
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(
            header::CONNECTION,
            header::HeaderValue::from_static("upgrade"),
        );
    } else if closes {
        headers.insert(
            header::CONNECTION,
            header::HeaderValue::from_static("close"),
        );
    }
    Some((answer, closes))
}

fn is_length(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.iter().all(u8::is_ascii_digit)
        && value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
}

/// Whether a length that the application gives is the body's, and not one that hyper finds by itself.
fn keeps_length(status: StatusCode, size: BodySize, is_head: bool) -> bool {
    match size {
        BodySize::Stream => true,
        BodySize::None => is_head || status == StatusCode::NOT_MODIFIED,
        BodySize::Sized(_) => false,
    }
}
