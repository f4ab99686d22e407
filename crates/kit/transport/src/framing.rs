//! Heads that hyper takes, and that have no single meaning.
//!
//! Where a head has several lengths, hyper follows RFC 9112: it takes the one that counts and closes the
//! connection after the answer. A proxy in front that counts the other one still sees two requests where we
//! see one, so these are refused. hyper keeps no trace of a length that it has dropped, so the head is
//! looked at once more as it came, where a request has a body. See `docs/decisions/framing.md`.

use hyper::{
    HeaderMap, Method, Version,
    header::{self, HeaderValue},
    http::{request::Parts, uri::Authority},
};
use memchr::memmem;

/// The largest head that is read, in bytes.
pub(crate) const MAX_HEAD: usize = 128 * 1024;

/// The longest target that is read, in bytes. (hyper's own limit; a longer one is refused by it.)
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// The most headers that a request may have.
pub(crate) const MAX_HEADERS: usize = 96;

/// How much of a body is remembered, in bytes: another request may begin in it.
const TAIL: usize = 2 * 1024;

/// What was read last, up to the length of a head.
#[derive(Default)]
pub(crate) struct Recent {
    bytes: Vec<u8>,
    /// The last request that was made of it.
    last: Last,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// There was none.
    #[default]
    None,
    WithoutBody,
    /// And its body may still come.
    WithBody,
    WithBodyAnswered,
}

impl Recent {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.last == Last::WithoutBody && !self.has_more() {
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(bytes);
        if self.last == Last::WithBody {
            self.keep_tail();
        } else {
            self.bytes.truncate(MAX_HEAD);
        }
    }

    /// A request has been made of it.
    pub(crate) fn request(&mut self, has_body: bool) {
        self.last = if has_body {
            Last::WithBody
        } else {
            Last::WithoutBody
        };
        self.keep_tail();
        self.bytes.shrink_to(TAIL);
    }

    fn keep_tail(&mut self) {
        self.bytes.drain(..self.bytes.len().saturating_sub(TAIL));
    }

    /// The last request has been answered. Whether the beginning of another one has come along with it.
    pub(crate) fn answered(&mut self) -> bool {
        if self.last == Last::WithBody {
            self.last = Last::WithBodyAnswered;
        }
        self.has_more()
    }

    /// Whether something follows the last request. Where that has a body, nothing tells from here.
    fn has_more(&self) -> bool {
        self.last == Last::WithoutBody
            && !self.bytes.ends_with(b"\n\r\n")
            && !self.bytes.ends_with(b"\n\n")
    }

    /// The true status of a head that hyper has refused as too large.
    pub(crate) fn too_large(&self) -> u16 {
        let line = memchr::memchr(b'\n', &self.bytes).unwrap_or(self.bytes.len());
        let lines = memchr::memchr_iter(b'\n', &self.bytes).count();
        if line > MAX_TARGET {
            414
        } else if self.bytes.len() < MAX_HEAD && lines <= MAX_HEADERS {
            // A length that is larger than any body can be.
            413
        } else {
            431
        }
    }

    /// Whether the head of this request has more than one length. There may be other requests before and
    /// behind it, so it is found by its first line.
    fn has_several_lengths(&self, head: &Parts) -> bool {
        let line = format!("{} {} HTTP/1.", head.method, head.uri);
        memmem::find_iter(&self.bytes, line.as_bytes()).any(|at| {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS + 4];
            let mut request = httparse::Request::new(&mut headers);
            if !matches!(request.parse(&self.bytes[at..]), Ok(status) if status.is_complete()) {
                return false;
            }
            let lengths = request.headers.iter().filter(|header| {
                header.name.eq_ignore_ascii_case("content-length")
                    || header.name.eq_ignore_ascii_case("transfer-encoding")
            });
            lengths.count() > 1
        })
    }
}

/// What is wrong with a head, and the status of the answer.
pub(crate) type Wrong = (u16, &'static str);

/// Looks for what gives a request no single meaning.
pub(crate) fn check(head: &Parts, has_body: bool, recent: &Recent) -> Result<(), Wrong> {
    if head.headers.len() > MAX_HEADERS {
        return Err((431, "the request has more than 96 headers"));
    }
    check_host(head)?;
    if let Some(coding) = head.headers.get(header::TRANSFER_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        return Err((400, "the only transfer encoding that is taken is chunked"));
    }
    if has_body && recent.has_several_lengths(head) {
        return Err((
            400,
            "the length of the request is given more than once; send one Content-Length, or \
             Transfer-Encoding: chunked",
        ));
    }
    if !has_body
        && head.version == Version::HTTP_10
        && matches!(head.method, Method::POST | Method::PUT | Method::PATCH)
        && !head.headers.contains_key(header::CONTENT_LENGTH)
    {
        return Err((
            400,
            "an HTTP/1.0 request with a body needs a Content-Length",
        ));
    }
    Ok(())
}

fn check_host(head: &Parts) -> Result<(), Wrong> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::HTTP_10 => Ok(()),
        (Some(host), None) if is_host(host) => Ok(()),
        (None, _) => Err((400, "the request has no Host header")),
        (Some(_), None) => Err((400, "the Host header is neither a name nor an address")),
        (Some(_), Some(_)) => Err((400, "the request has more than one Host header")),
    }
}

/// A host and perhaps a port; an empty one is for a target that has none.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

/// Whether a request asks for another protocol. Without `Connection: upgrade`, `Upgrade` is a remark.
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}
