//! Heads that hyper takes, and that have no single meaning.
//!
//! Where a head has several lengths, hyper follows RFC 9112: it takes the one that counts and closes the
//! connection after the answer. A proxy in front that counts the other one still sees two requests where we
//! see one, so these are refused. hyper keeps no trace of a length that it has dropped, so the head is
//! looked at once more as it came, where a request has a body. See `docs/decisions/framing.md`.

use hyper::{
    HeaderMap, Method, Version,
    body::Body,
    header::{self, HeaderValue},
    http::{request::Parts, uri::Authority},
};

/// The largest head that is read, in bytes.
pub(crate) const MAX_HEAD: usize = 128 * 1024;

/// The longest target that is read, in bytes. (hyper's own limit; a longer one is refused by it.)
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// The most headers that a request may have.
pub(crate) const MAX_HEADERS: usize = 96;

/// How much room is kept for the next head, in bytes.
const KEPT: usize = 2 * 1024;

/// The head of the request that is coming, as it comes, and what follows it. Where one request ends the
/// next one begins, so each is followed to its end.
#[derive(Default)]
pub(crate) struct Recent {
    bytes: Vec<u8>,
    /// Where in them the head begins.
    start: usize,
    /// Of the last request.
    body: BodyRest,
}

/// The length of a request's body, as hyper takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no body.
    None,
    Known(u64),
    Chunked,
}

impl Length {
    pub(crate) fn of(body: &impl Body) -> Self {
        match body.size_hint().exact() {
            _ if body.is_end_stream() => Self::None,
            Some(size) => Self::Known(size),
            None => Self::Chunked,
        }
    }
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, Default)]
enum BodyRest {
    #[default]
    Nothing,
    Bytes(u64),
    /// The line with a chunk's size, and what has come of the size.
    Size {
        size: u64,
        ended: bool,
    },
    /// A chunk, so many bytes with its line's end.
    Chunk(u64),
    /// Lines, up to an empty one.
    Trailers {
        in_line: bool,
        after_cr: bool,
    },
}

impl BodyRest {
    fn new(length: Length) -> Self {
        match length {
            Length::None => Self::Nothing,
            Length::Known(size) => Self::Bytes(size),
            Length::Chunked => Self::line(),
        }
    }

    fn line() -> Self {
        Self::Size {
            size: 0,
            ended: false,
        }
    }

    /// How many of these bytes are the body's. hyper refuses what is no body, and then reads no further
    /// head, so this is right for what is one.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let coming = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
            match self {
                Self::Nothing => break,
                Self::Bytes(left) | Self::Chunk(left) => {
                    let skipped = coming.min(*left);
                    *left -= skipped;
                    at += usize::try_from(skipped).unwrap_or(usize::MAX);
                }
                Self::Size { size, ended } => {
                    at += 1;
                    match char::from(*byte).to_digit(16) {
                        Some(digit) if !*ended => {
                            *size = size.saturating_mul(16).saturating_add(digit.into());
                        }
                        _ => *ended = true,
                    }
                    if *byte == b'\n' {
                        *self = match size {
                            0 => Self::Trailers {
                                in_line: false,
                                after_cr: false,
                            },
                            size => Self::Chunk(size.saturating_add(2)),
                        };
                    }
                }
                Self::Trailers { in_line, after_cr } => {
                    at += 1;
                    match byte {
                        b'\n' if *after_cr && !*in_line => *self = Self::Nothing,
                        b'\n' if *after_cr => (*in_line, *after_cr) = (false, false),
                        b'\r' => *after_cr = true,
                        _ => (*in_line, *after_cr) = (true, false),
                    }
                }
            }
            match self {
                Self::Bytes(0) => *self = Self::Nothing,
                Self::Chunk(0) => *self = Self::line(),
                _ => {}
            }
        }
        at
    }
}

impl Recent {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        let body = self.body.skip(bytes);
        self.bytes.extend_from_slice(&bytes[body..]);
    }

    /// A request has been made of the head.
    pub(crate) fn request(&mut self, length: Length) {
        self.start += end_of_head(self.coming()).unwrap_or(self.coming().len());
        self.body = BodyRest::new(length);
        self.start += self.body.skip(&self.bytes[self.start..]);
        if self.coming().is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.start = 0;
        }
    }

    /// What hyper has not made a request of, as far as it is none's body.
    pub(crate) fn coming(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether more of the last request's body is to come.
    pub(crate) fn is_in_body(&self) -> bool {
        !matches!(self.body, BodyRest::Nothing)
    }

    /// Whether the beginning of another request has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.coming().iter().any(|byte| !is_line_end(*byte))
    }

    /// The true status of a head that hyper has refused as too large.
    pub(crate) fn too_large(&self) -> u16 {
        let head = self.coming().trim_ascii_start();
        let line = memchr::memchr(b'\n', head).unwrap_or(head.len());
        let lines = memchr::memchr_iter(b'\n', head).count();
        if line > MAX_TARGET {
            414
        } else if head.len() < MAX_HEAD && lines <= MAX_HEADERS {
            // A length that is larger than any body can be.
            413
        } else {
            431
        }
    }

    /// Whether the head has more than one length, of which hyper has dropped all but one or taken all. It
    /// drops no other header, so a head of another size would not be the one that it has read.
    fn has_several_lengths(&self, head: &Parts) -> bool {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS + 4];
        let mut request = httparse::Request::new(&mut headers);
        if !matches!(request.parse(self.coming()), Ok(status) if status.is_complete()) {
            return true;
        }
        let lengths = request.headers.iter().filter(|header| {
            header.name.eq_ignore_ascii_case("content-length")
                || header.name.eq_ignore_ascii_case("transfer-encoding")
        });
        lengths.count() != 1 || request.headers.len() != head.headers.len()
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Where the head ends that this begins with: behind the first empty line that is not ahead of it.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.iter().position(|byte| !is_line_end(*byte))?;
    memchr::memchr_iter(b'\n', &bytes[begin..]).find_map(|at| {
        let next = begin + at + 1;
        match bytes[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// What is wrong with a head, and the status of the answer.
pub(crate) type Wrong = (u16, &'static str);

/// Looks for what gives a request no single meaning.
pub(crate) fn check(head: &Parts, length: Length, recent: &Recent) -> Result<(), Wrong> {
    if head.headers.len() > MAX_HEADERS {
        return Err((431, "the request has more than 96 headers"));
    }
    check_host(head)?;
    if let Some(coding) = head.headers.get(header::TRANSFER_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        return Err((400, "the only transfer encoding that is taken is chunked"));
    }
    if length != Length::None && recent.has_several_lengths(head) {
        return Err((
            400,
            "the length of the request is given more than once; send one Content-Length, or \
             Transfer-Encoding: chunked",
        ));
    }
    if length == Length::None
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
