//! What ties a request to the log lines and traces of others: request id and trace id.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The id of a request: the client's `X-Request-Id` when it is sane, else one of our own.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sane(given.as_bytes()) => Self(given.clone()),
            _ => Self::make(),
        }
    }

    fn make() -> Self {
        let id = hex(fastrand::u128(..));
        Self(HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// What can stand in a header, a log line and a URL without a second thought.
fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=@".contains(b))
}

fn hex(id: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// The trace id of a W3C `traceparent`: 32 lower-case hexadecimal digits, not all zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceId(String);

impl TraceId {
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT);
        let value = values.next()?.to_str().ok()?;
        // Two of them contradict each other; the standard says to take neither.
        if values.next().is_some() {
            return None;
        }
        Self::parse(value)
    }

    /// Parses `version "-" trace-id "-" parent-id "-" flags`. A version later than 00 may add
    /// fields after another dash; version ff is forbidden.
    fn parse(traceparent: &str) -> Option<Self> {
        let mut fields = traceparent.splitn(5, '-');
        let version = fields.next()?;
        let trace_id = fields.next()?;
        let parent_id = fields.next()?;
        let flags = fields.next()?;
        let more = fields.next();
        let well_formed = is_hex(version, 2)
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && version != "ff"
            && (version != "00" || more.is_none())
            && is_not_zero(trace_id)
            && is_not_zero(parent_id);
        well_formed.then(|| Self(trace_id.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits
        && field
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_not_zero(field: &str) -> bool {
    field.bytes().any(|b| b != b'0')
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
            (false, String::new()),
        ] {
            let id = TraceId::parse(&text);
            assert_eq!(
                id.as_ref().map(TraceId::as_str),
                good.then_some(trace),
                "{text}"
            );
        }
    }

    #[test]
    fn a_request_id_is_kept_when_sane_and_made_when_not() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(value));
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(id("a-1_b.c:2"), "a-1_b.c:2");
        for insane in ["", "with space", "quote\"", "tab\t"] {
            let made = id(insane);
            assert_eq!(made.len(), 32, "{insane:?} became {made:?}");
            assert!(is_hex(&made, 32));
        }
        assert_ne!(id(""), id(""));
    }
}
