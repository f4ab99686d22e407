//! What holds whatever a client sends. The fuzz targets ask the same of inputs of their own.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use berth_kit_http::{Query, QueryError, RequestId, TraceId, duration};
use serde::Deserialize;
use url::form_urlencoded;

/// A query is read as `form_urlencoded` reads it, or refused for what that would pass over.
pub(crate) fn query(text: &str) {
    let expected: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    // It puts U+FFFD where the bytes are not UTF-8; some may have been sent, plain or encoded.
    let decoded = expected.iter().flat_map(|(name, value)| [name, value]);
    let replaced: usize = decoded.map(|part| part.matches('\u{fffd}').count()).sum();
    let sent =
        text.matches('\u{fffd}').count() + text.to_ascii_uppercase().matches("%EF%BF%BD").count();
    let is_utf8 = replaced == sent;
    let is_broken = text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    match read(text) {
        Ok(query) => {
            assert!(!is_broken && is_utf8, "{text:?} must not be taken");
            assert!(is_same(&query, &expected), "{text:?} is not {query:?}");
            one_value_at_most(text, &query);
        }
        Err(QueryError::Percent) => assert!(is_broken, "{text:?} has no broken percent"),
        Err(QueryError::Utf8) => assert!(!is_utf8, "{text:?} is UTF-8"),
        Err(other) => panic!("{text:?}: {other}"),
    }
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

/// A field of one value has that value, or is refused where there are several.
fn one_value_at_most(text: &str, query: &[(String, String)]) {
    let values: Vec<_> = query.iter().filter(|(name, _)| name == "name").collect();
    let read = Query::<Named>::read(text).map(|Query(named)| named.name);
    match (values.as_slice(), read) {
        ([], Ok(None)) | ([_, _, ..], Err(QueryError::Value(_))) => {}
        ([(_, value)], Ok(Some(name))) => assert_eq!(name, *value, "{text:?}"),
        (_, read) => panic!("{text:?}: {read:?}"),
    }
}

/// What was encoded comes back.
pub(crate) fn query_round_trip(encoded: &str, pairs: &[(String, String)]) {
    let query = read(encoded).expect("it is well-formed");
    assert!(is_same(&query, pairs), "{encoded:?} is not {query:?}");
}

/// Every parameter, in its order.
pub(crate) fn read(text: &str) -> Result<Vec<(String, String)>, QueryError> {
    Query::read(text).map(|Query(pairs)| pairs)
}

fn is_same<T: AsRef<str>>(query: &[(String, String)], expected: &[(T, T)]) -> bool {
    let expected = expected.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
    query.iter().map(|(n, v)| (&**n, &**v)).eq(expected)
}

/// A text is no duration, or one that can be written down and read again.
pub(crate) fn duration_text(text: &str) {
    let Some(duration) = duration::parse(text) else {
        return;
    };
    let starts = text.trim_start().as_bytes().first();
    assert!(starts.is_some_and(u8::is_ascii_digit), "{text:?}");
    duration_value(duration);
}

/// What is written of a duration is one word that says no less than the duration.
pub(crate) fn duration_value(duration: Duration) {
    let word = duration::compact(duration);
    assert!(
        word.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{word:?}"
    );
    assert_eq!(humantime::parse_duration(&word), Ok(duration), "{word:?}");
    // Ours takes no text of more than 16 bytes.
    let taken = (word.len() <= 16).then_some(duration);
    assert_eq!(duration::parse(&word), taken, "{word:?}");
}

/// Those of `values` that can be a header's value at all, each in a header of its own.
fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// A request id is the client's, to the letter, or 32 hexadecimal digits.
pub(crate) fn request_id(values: &[&[u8]]) {
    let headers = headers("x-request-id", values);
    let sent: Vec<&[u8]> = headers
        .get_all("x-request-id")
        .map(HeaderValue::as_bytes)
        .collect();
    let mut id = RequestId::default();
    id.set(&headers);
    let text = id.as_bytes();
    assert_eq!(id.header_value().as_bytes(), text);
    let is_sane = |id: &[u8]| {
        let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b':' | b'+' | b'/' | b'=' | b'@');
        !id.is_empty() && id.len() <= 128 && id.iter().all(plain)
    };
    assert!(is_sane(text), "{text:?}");
    let is_made = text.len() == 32 && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match sent[..] {
        [only] if is_sane(only) => assert_eq!(text, only),
        [] | [_] => assert!(is_made, "{text:?} for {sent:?}"),
        _ => assert!(is_made || sent.contains(&text), "{text:?} for {sent:?}"),
    }
}

/// A trace id is there where the W3C's grammar says so, and is what stands in its place.
pub(crate) fn traceparent(values: &[&[u8]]) {
    let headers = headers("traceparent", values);
    let sent: Vec<&[u8]> = headers
        .get_all("traceparent")
        .map(HeaderValue::as_bytes)
        .collect();
    let expected = match sent[..] {
        [only] => trace_id(only),
        _ => None,
    };
    let id = TraceId::of(&headers);
    let id = id.as_ref().map(TraceId::as_bytes);
    assert_eq!(id, expected, "{sent:?}");
}

/// By place, not by field: `VV-TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT-PPPPPPPPPPPPPPPP-FF`, and after a
/// dash what a later version may add.
fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let (head, more) = value.split_at_checked(55)?;
    let (version, trace_id, parent_id) = (&head[..2], &head[3..35], &head[36..52]);
    let is_in_place = head.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    let is_of_its_version = match version {
        b"ff" => false,
        b"00" => more.is_empty(),
        _ => more.is_empty() || more[0] == b'-' && more.is_ascii(),
    };
    let is_zero = |id: &[u8]| id.iter().all(|digit| *digit == b'0');
    (is_in_place && is_of_its_version && !is_zero(trace_id) && !is_zero(parent_id))
        .then_some(trace_id)
}
