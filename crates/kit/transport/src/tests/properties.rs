//! Properties of what passes between hyper and actix, and of where heads are looked for.

use std::fmt::{self, Write as _};

use actix_http::{
    ResponseHead, StatusCode,
    body::BodySize,
    header::{self as actix_header},
};
use hyper::{
    Method, Request, Uri, Version,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::RngSeed,
};

use super::laws;

/// The same cases every time, so that a failure is there again at the next run. The environment may
/// ask for others: `PROPTEST_RNG_SEED=7 PROPTEST_CASES=100000`.
fn cases(usual: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(usual, |_| given.cases);
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        seed @ RngSeed::Fixed(_) => seed,
    };
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        ..given
    }
}

const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}";

fn method() -> impl Strategy<Value = Method> {
    let known = select(
        &[
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
        ][..],
    );
    prop_oneof![known.prop_map(str::to_owned), TOKEN.prop_map(|token| token)]
        .prop_filter_map("no method", |method| {
            Method::from_bytes(method.as_bytes()).ok()
        })
}

/// Targets in all their forms, and what hyper takes for one.
fn target() -> impl Strategy<Value = Uri> {
    prop_oneof![
        4 => "/[ -~]{0,30}",
        2 => "/[a-z/.%0-9]{0,20}(\\?[a-z=&%0-9?#]{0,20})?(#[a-z]{0,5})?",
        1 => "/\\PC{0,10}",
        1 => "[a-zA-Z][a-z+.-]{0,8}://[a-z0-9.@:\\[\\]-]{1,20}(/[ -~]{0,20})?(\\?[ -~]{0,9})?",
        1 => "[a-z0-9.-]{1,12}(:[0-9]{1,5})?",
        1 => Just("*".to_owned()),
        1 => "[ -~]{1,30}",
    ]
    .prop_filter_map("no target", |target| Uri::try_from(target).ok())
}

fn version() -> impl Strategy<Value = Version> {
    let others = select(&[Version::HTTP_09, Version::HTTP_2, Version::HTTP_3][..]);
    prop_oneof![8 => Just(Version::HTTP_11), 2 => Just(Version::HTTP_10), 1 => others]
}

const NAMES: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "cookie",
    "date",
    "set-cookie",
    "content-type",
    "x-a",
    "x-b",
    "te",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![2 => select(&NAMES[..]).prop_map(str::to_owned), 1 => TOKEN]
}

/// Any bytes that a value can have, with those that are not ASCII.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => b' '..=b'~', 1 => Just(b'\t'), 2 => 0x80..=0xff_u8];
    prop_oneof![
        4 => vec(byte, 0..30),
        1 => "[0-9]{0,22}".prop_map(String::into_bytes),
        1 => select(&["close", "Close", "keep-alive, close", "upgrade", "chunked", "gzip, chunked"][..])
            .prop_map(|value| value.as_bytes().to_vec()),
    ]
}

fn request_head() -> impl Strategy<Value = Parts> {
    let headers = vec((name(), value()), 0..20);
    (method(), target(), version(), headers).prop_map(|(method, target, version, headers)| {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.uri = target;
        head.version = version;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            head.headers
                .append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        head
    })
}

fn response_head() -> impl Strategy<Value = ResponseHead> {
    let usual = select(&[101_u16, 200, 204, 304, 404, 500][..]);
    let status = prop_oneof![4 => usual, 1 => 100..1000_u16];
    let length = "[0-9]{1,2}".prop_map(|length| ("content-length".to_owned(), length.into_bytes()));
    let headers = prop_oneof![9 => (name(), value()), 1 => length];
    (status, vec(headers, 0..20)).prop_map(|(status, headers)| {
        let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            let name = actix_header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = actix_header::HeaderValue::from_bytes(&value).unwrap();
            head.headers_mut().append(name, value);
        }
        head
    })
}

fn size() -> impl Strategy<Value = BodySize> {
    prop_oneof![
        Just(BodySize::None),
        Just(BodySize::Stream),
        Just(BodySize::Sized(0)),
        any::<u64>().prop_map(BodySize::Sized),
    ]
}

/// A request as it is sent, and whether it has several lengths.
#[derive(Clone)]
struct Sent {
    bytes: Vec<u8>,
    has_several_lengths: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sent")
            .field(&String::from_utf8_lossy(&self.bytes))
            .finish()
    }
}

/// Text of which bodies are made: what could be taken for the end of something, or the beginning.
const TEXTS: [&str; 10] = [
    "a",
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "5\r\n",
    "\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

const SEVERAL_LENGTHS: [&str; 5] = [
    "Content-Length: 3\nTransfer-Encoding: chunked\n",
    "transfer-encoding: chunked\nCONTENT-LENGTH: 3\n",
    "Content-Length: 3\nContent-Length: 3\n",
    "Transfer-Encoding: chunked\nX: y\nTransfer-Encoding: chunked\n",
    "Transfer-Encoding: chunked\nContent-Length: x\n",
];

#[derive(Debug, Clone)]
enum Framing {
    None,
    Length,
    Chunks {
        cuts: Vec<usize>,
        extension: String,
        trailers: Vec<String>,
    },
    SeveralLengths(&'static str),
}

fn framing() -> impl Strategy<Value = Framing> {
    let extension = prop_oneof![2 => Just(String::new()), 1 => "[ \t]{0,2}(;[ -~]{0,8})?"];
    let trailers = vec("[A-Za-z-]{1,9}:[ -~]{0,9}", 0..3);
    let chunks = (vec(1..40_usize, 0..6), extension, trailers);
    prop_oneof![
        3 => Just(Framing::None),
        2 => Just(Framing::Length),
        3 => chunks.prop_map(|(cuts, extension, trailers)| Framing::Chunks { cuts, extension, trailers }),
        1 => select(&SEVERAL_LENGTHS[..]).prop_map(Framing::SeveralLengths),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let targets = [
        "/",
        "/#a",
        "/?a#b",
        "*",
        "http://t",
        "HTTP://T/a",
        "/\u{e9}",
    ];
    let start = (
        select(&["", "", "", "\r\n", "\n", "\r\n\r\n", "\n\n\r\n"][..]),
        select(&["GET", "POST", "X"][..]),
        select(targets.to_vec()),
    );
    let padding = prop_oneof![4 => Just(0_usize), 2 => 1..100_usize, 1 => 2_000..20_000_usize];
    let body = vec(select(&TEXTS[..]), 1..8).prop_map(|texts| texts.concat());
    (start, padding, any::<bool>(), framing(), body).prop_map(
        |((blank, method, target), padding, crlf, framing, body)| {
            let mut head = format!("{method} {target} HTTP/1.1\nHost: t\n");
            if padding > 0 {
                writeln!(head, "X-Padding: {}", "y".repeat(padding)).unwrap();
            }
            let (length, body) = match &framing {
                Framing::None => (String::new(), Vec::new()),
                Framing::Length => (
                    format!("Content-Length: {}\n", body.len()),
                    body.into_bytes(),
                ),
                Framing::Chunks {
                    cuts,
                    extension,
                    trailers,
                } => {
                    let body = chunks(body.as_bytes(), cuts, extension, trailers);
                    ("Transfer-Encoding: chunked\n".to_owned(), body)
                }
                Framing::SeveralLengths(lengths) => ((*lengths).to_owned(), body.into_bytes()),
            };
            head += &length;
            head += "\n";
            if crlf {
                head = head.replace('\n', "\r\n");
            }
            Sent {
                bytes: [blank.as_bytes(), head.as_bytes(), &body].concat(),
                has_several_lengths: matches!(framing, Framing::SeveralLengths(_)),
            }
        },
    )
}

fn chunks(body: &[u8], cuts: &[usize], extension: &str, trailers: &[String]) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut rest = body;
    let mut cuts = cuts.iter();
    while !rest.is_empty() {
        let size = cuts.next().map_or(rest.len(), |cut| (*cut).min(rest.len()));
        let (chunk, after) = rest.split_at(size);
        chunks.extend(format!("{size:X}{extension}\r\n").into_bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
        rest = after;
    }
    chunks.extend(format!("00{extension}\r\n").into_bytes());
    for trailer in trailers {
        chunks.extend(trailer.as_bytes());
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"\r\n");
    chunks
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_request_is_the_same_for_actix(head in request_head()) {
        laws::request(&head);
    }

    #[test]
    fn an_answer_has_the_headers_that_it_was_given(
        head in response_head(),
        size in size(),
        is_head in any::<bool>(),
        closes in any::<bool>(),
    ) {
        laws::answer(&head, size, is_head, closes);
    }

    #[test]
    fn several_lengths_are_found_wherever_they_are_and_nowhere_else(
        requests in vec(sent(), 1..6),
        cuts in vec(prop_oneof![0..20_usize, 0..20_000_usize], 0..12),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.bytes.clone()).collect();
        let wrong = requests.iter().position(|request| request.has_several_lengths);
        let mut expected = vec![Ok(()); wrong.unwrap_or(requests.len())];
        expected.extend(wrong.map(|_| Err(400)));
        let found = laws::connection(&bytes, &cuts);
        prop_assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn bytes_that_are_changed_are_requests_or_none(
        requests in vec(sent(), 1..4),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cuts in vec(0..200_usize, 0..6),
    ) {
        let mut bytes: Vec<u8> = requests.iter().flat_map(|request| request.bytes.clone()).collect();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = laws::connection(&bytes, &cuts);
    }
}

#[test]
fn a_header_that_hyper_has_is_one_that_actix_has() {
    let (mut head, ()) = Request::new(()).into_parts();
    for byte in 0..=u8::MAX {
        if let Ok(value) = HeaderValue::from_bytes(&[byte]) {
            head.headers.append(header::COOKIE, value);
        }
        if let Ok(name) = HeaderName::from_bytes(&[byte]) {
            head.headers.append(name, HeaderValue::from_static(""));
        }
    }
    assert!(head.headers.len() > 256);
    laws::request(&head);
}
