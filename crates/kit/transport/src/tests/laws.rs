//! What holds whatever a client sends and whatever an application answers. The fuzz target asks the same of
//! inputs of its own.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
};

use actix_http::{
    HttpMessage as _, Payload, ResponseHead, StatusCode, body::BodySize, header as actix_header,
};
use hyper::{
    Response, Version,
    body::{Body as _, Incoming},
    header,
    http::request::Parts,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};

use crate::{
    framing::{self, Length, MAX_HEAD, MAX_HEADERS, Recent},
    http1::adapter::{convert_head, convert_request},
};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A request is the same for actix, or is refused because actix has no such request.
///
/// # Panics
///
/// When it is another one.
pub fn request(head: &Parts) {
    let request = match convert_request(head, Payload::None, PEER) {
        Ok(request) => request,
        Err((status, detail)) => {
            assert_eq!(status, 400);
            assert!(!detail.is_empty());
            let is_http_1 = [Version::HTTP_10, Version::HTTP_11].contains(&head.version);
            let has_method =
                actix_http::Method::from_bytes(head.method.as_str().as_bytes()).is_ok();
            let has_target = actix_http::Uri::try_from(head.uri.to_string()).is_ok();
            assert!(!is_http_1 || !has_method || !has_target, "{head:?}");
            return;
        }
    };
    assert_eq!(request.method().as_str(), head.method.as_str());
    assert_eq!(request.uri().to_string(), head.uri.to_string());
    assert_eq!(
        format!("{:?}", request.version()),
        format!("{:?}", head.version)
    );
    assert_eq!(request.head().peer_addr, Some(PEER));
    assert_eq!(request.headers().len(), head.headers.len());
    for name in head.headers.keys() {
        let values = head
            .headers
            .get_all(name)
            .iter()
            .map(header::HeaderValue::as_bytes);
        let converted = request.headers().get_all(name.as_str());
        assert!(
            converted
                .map(actix_header::HeaderValue::as_bytes)
                .eq(values),
            "{name}"
        );
    }
}

/// An answer has the headers that the application gave it, but for those that say where it ends and whether
/// the connection goes on.
///
/// # Panics
///
/// When it has others.
pub fn answer(head: &ResponseHead, size: BodySize, is_head: bool, closes: bool) {
    let given = |name| {
        head.headers
            .get_all(name)
            .map(actix_header::HeaderValue::as_bytes)
    };
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let is_interim = head.status.is_informational() && !switches;
    let lengths: Vec<_> = given(actix_header::CONTENT_LENGTH).collect();
    let has_close = given(actix_header::CONNECTION).any(|value| {
        let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        value
            .iter()
            .all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t')
            && options
                .into_iter()
                .any(|option| option.eq_ignore_ascii_case(b"close"))
    });
    let Some((answer, does_close)) = convert_head(head, size, is_head, closes) else {
        let is_number = |length: &&[u8]| {
            length.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(length).is_ok_and(|text| text.parse::<u64>().is_ok())
        };
        assert!(
            is_interim || lengths.len() > 1 || !lengths.iter().all(is_number),
            "{head:?}"
        );
        return;
    };
    assert!(!is_interim);
    assert_eq!(does_close, closes || has_close, "{head:?}");
    assert_eq!(answer.status().as_u16(), head.status.as_u16());
    let sent = |name| {
        answer
            .headers()
            .get_all(name)
            .iter()
            .map(header::HeaderValue::as_bytes)
    };
    for name in head.headers.keys() {
        let as_given = sent(name.as_str()).eq(given(name.clone()));
        match *name {
            actix_header::CONNECTION => {}
            actix_header::TRANSFER_ENCODING => assert_eq!(sent("transfer-encoding").count(), 0),
            actix_header::CONTENT_LENGTH => {
                let none = sent("content-length").count() == 0;
                match size {
                    BodySize::Sized(_) => assert!(none),
                    BodySize::Stream => assert!(as_given && lengths.len() == 1),
                    BodySize::None => assert!(none || as_given),
                }
            }
            _ => assert!(as_given, "{name}: {head:?}"),
        }
    }
    for name in answer.headers().keys() {
        let is_ours = [header::CONNECTION, header::DATE].contains(name);
        assert!(
            is_ours || head.headers.contains_key(name.as_str()),
            "{name}"
        );
    }
    assert_eq!(
        sent("date").count(),
        given(actix_header::DATE).count().max(1)
    );
    let connection: Vec<_> = sent("connection").collect();
    match connection[..] {
        [b"upgrade"] => assert!(switches),
        [b"close"] => assert!(does_close && !switches),
        [] => assert!(!does_close && !switches),
        _ => panic!("{connection:?}"),
    }
}

/// Drives hyper with what a client sends, in pieces that end at `cuts`. Each request is the same for actix,
/// and its head is where [`framing`] looks for it. Tells of each request whether it was refused.
///
/// # Panics
///
/// When a request is another one, or its head is not there.
#[must_use]
pub fn connection(bytes: &[u8], cuts: &[usize]) -> Vec<Result<(), u16>> {
    let recent = Rc::new(RefCell::new(Recent::default()));
    let requests = RefCell::new(Vec::new());
    let client = Client {
        pieces: pieces(bytes, cuts),
        recent: Rc::clone(&recent),
    };
    let service = service_fn(|received: hyper::Request<Incoming>| {
        let (head, body) = received.into_parts();
        request(&head);
        let length = Length::of(&body);
        let checked = framing::check(&head, length, &recent.borrow());
        has_its_head(&head, length, checked.is_ok(), &recent.borrow());
        recent.borrow_mut().request(length);
        requests
            .borrow_mut()
            .push(checked.map_err(|(status, _)| status));
        async move {
            let mut answer = Response::new(String::new());
            let mut body = pin!(body);
            if checked.is_ok() {
                while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
            } else {
                let close = header::HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.half_close(true)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false);
    drive(http.serve_connection(client, service));
    requests.into_inner()
}

/// The head lies at the beginning of what has come, with all that hyper has made of it, and has several
/// lengths where that is said.
fn has_its_head(head: &Parts, length: Length, accepted: bool, recent: &Recent) {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS + 4];
    let mut raw = httparse::Request::new(&mut headers);
    let coming = recent.coming();
    let parsed = raw.parse(coming);
    assert!(
        matches!(parsed, Ok(httparse::Status::Complete(_))),
        "{head:?} of {:?}",
        String::from_utf8_lossy(coming)
    );
    assert_eq!(raw.method, Some(head.method.as_str()));
    let is_length = |name: &str| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    };
    let (lengths, others): (Vec<_>, Vec<httparse::Header<'_>>) = raw
        .headers
        .iter()
        .partition(|header| is_length(header.name));
    for name in head.headers.keys().filter(|name| !is_length(name.as_str())) {
        let values = head
            .headers
            .get_all(name)
            .iter()
            .map(header::HeaderValue::as_bytes);
        let raw = others
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name.as_str()));
        assert!(
            raw.map(|header| header.value).eq(values),
            "{name} in {head:?}"
        );
    }
    let names = head
        .headers
        .iter()
        .filter(|(name, _)| !is_length(name.as_str()));
    assert_eq!(names.count(), others.len());
    if length != Length::None {
        assert!(!lengths.is_empty());
        assert!(!accepted || lengths.len() == 1, "{:?}", raw.headers);
    }
}

/// Polls until the connection has ended or nobody wants to go on.
fn drive<F: Future>(connection: F) {
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Arc::clone(&woken).into();
    let mut connection = pin!(connection);
    while woken.0.swap(false, Ordering::Relaxed) {
        if connection
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            return;
        }
    }
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (piece, after) = rest.split_at(*cut % (rest.len() + 1));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces.reverse();
    pieces
}

/// What a client sends, from the last piece to the first, as hyper reads it.
struct Client<'a> {
    pieces: Vec<&'a [u8]>,
    recent: Rc<RefCell<Recent>>,
}

impl Read for Client<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.pieces.pop() {
            let (now, later) = piece.split_at(piece.len().min(buf.remaining()));
            buf.put_slice(now);
            self.recent.borrow_mut().push(now);
            if !later.is_empty() {
                self.pieces.push(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Client<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
