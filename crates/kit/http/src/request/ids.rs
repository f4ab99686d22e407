//! What ties a request to the log lines and traces of others: request id and trace id.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// Names a request, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The id of a request: the client's `X-Request-Id` when it is sane, else one of our own. There is
/// none before it is set.
#[derive(Debug, Clone, Default)]
pub struct RequestId(Vec<u8>);

impl RequestId {
    /// Becomes the id of the request with these headers.
    pub fn set(&mut self, headers: &HeaderMap) {
        self.0.clear();
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sane(given.as_bytes()) => self.0.extend_from_slice(given.as_bytes()),
            _ => push_random(&mut self.0),
        }
    }

    /// An id of our own.
    #[must_use]
    pub fn random() -> Self {
        let mut id = Vec::new();
        push_random(&mut id);
        Self(id)
    }

    /// ASCII letters, digits and `-_.:+/=@`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For the answer.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }
}

/// What can stand in a header, a log line and a URL without a second thought.
fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=@".contains(b))
}

/// Appends 32 random hexadecimal digits.
fn push_random(text: &mut Vec<u8>) {
    let before = text.len();
    text.resize(before + 32, 0);
    let digits = &mut text[before..];
    fastrand::fill(digits);
    // A byte for each digit is twice what is needed, but so the compiler does many digits at once.
    for digit in digits {
        *digit &= 15;
        *digit += if *digit < 10 { b'0' } else { b'a' - 10 };
    }
}

/// The trace id of a W3C `traceparent`: 32 lower-case hexadecimal digits, not all zero; and its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId {
    digits: [u8; 32],
    flags: [u8; 2],
}

impl TraceId {
    /// The trace that a request with these headers belongs to.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT);
        let value = values.next()?;
        // Two of them contradict each other; the standard says to take neither.
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// Parses `version "-" trace-id "-" parent-id "-" flags`, each of a fixed length. A version later
    /// than 00 may add fields after another dash; version ff is forbidden.
    fn parse(traceparent: &[u8]) -> Option<Self> {
        let (known, more) = traceparent.split_at_checked(55)?;
        let (version, trace_id) = (&known[..2], &known[3..35]);
        let (parent_id, flags) = (&known[36..52], &known[53..55]);
        let well_formed = [2, 35, 52].iter().all(|dash| known[*dash] == b'-')
            && [version, trace_id, parent_id, flags]
                .into_iter()
                .all(is_hex)
            && version != b"ff"
            && (more.is_empty() || (version != b"00" && more[0] == b'-' && more.is_ascii()))
            && is_not_zero(trace_id)
            && is_not_zero(parent_id);
        well_formed.then_some(Self {
            digits: trace_id.try_into().ok()?,
            flags: flags.try_into().ok()?,
        })
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits
    }

    /// The `traceparent` of a call that is made on behalf of the request: the same trace and flags, and a
    /// span id of its own.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let span = fastrand::u64(1..);
        format!(
            "00-{}-{span:016x}-{}",
            text(&self.digits),
            text(&self.flags)
        )
    }
}

fn is_hex(field: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // Each request with a trace has this asked of 52 bytes. With no way out in between, the compiler asks it of
    // many at once.
    field.iter().fold(true, |all, byte| all & is_digit(byte))
}

fn is_not_zero(field: &[u8]) -> bool {
    field.iter().any(|byte| *byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_parsed_to_the_letter() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        for (good, text) in [
            (true, format!("00-{trace}-{parent}-01")),
            (true, format!("cc-{trace}-{parent}-01-what-comes-later")),
            (false, format!("00-{trace}-{parent}-01-more")),
            (false, format!("ff-{trace}-{parent}-01")),
            (false, format!("00-{}-{parent}-01", trace.to_uppercase())),
            (false, format!("00-{}-{parent}-01", "0".repeat(32))),
            (false, format!("00-{trace}-{}-01", "0".repeat(16))),
            (false, format!("00-{trace}-{parent}")),
            (false, format!("00-{trace}-{parent}-1")),
            (false, format!("0-{trace}-{parent}-01")),
            (false, format!("00-{trace}x-{parent}-01")),
            (false, format!("cc-{trace}-{parent}-01x")),
            (false, format!("00-{trace}-{parent}-0\u{e9}")),
            (false, String::new()),
        ] {
            let id = TraceId::parse(text.as_bytes());
            let expected = good.then_some(trace.as_bytes());
            assert_eq!(id.as_ref().map(TraceId::as_bytes), expected, "{text}");
            if let Some(id) = id {
                let child = id.traceparent();
                assert_eq!(TraceId::parse(child.as_bytes()), Some(id), "{child}");
                assert!(!child.contains(parent), "{child}");
            }
        }
    }

    #[test]
    fn a_request_id_is_kept_when_sane_and_made_when_not() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(value));
            let mut id = RequestId(b"of an earlier request".to_vec());
            id.set(&headers);
            assert_eq!(id.header_value().as_bytes(), id.as_bytes());
            String::from_utf8(id.0).unwrap()
        };
        assert_eq!(id("a-1_b.c:2"), "a-1_b.c:2");
        for insane in ["", "with space", "quote\"", "tab\t"] {
            let made = id(insane);
            assert_eq!(made.len(), 32, "{insane:?} became {made:?}");
            assert!(is_hex(made.as_bytes()));
        }
        assert_ne!(id(""), id(""));
    }
}
