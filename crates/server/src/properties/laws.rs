//! What holds whatever a client sends. The fuzz targets ask the same of inputs of their own.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    correlation::{RequestId, TraceId},
    head::{Head, Progress},
    logging::Escaped,
};

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

/// A head ends where actix says that it does or that it is none, in whatever pieces it comes. actix
/// has no time limit for one that we take for whole and it does not.
pub(crate) fn head(bytes: &[u8], cuts: &[usize]) {
    let parse = |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; 96];
        httparse::Request::new(&mut headers).parse(bytes)
    };
    let mut head = Head::default();
    let end = (0..bytes.len()).find(|at| head.push(&bytes[*at..=*at]) == Progress::Whole);
    if let Some(end) = end {
        let seen = parse(&bytes[..=end]);
        assert!(
            !matches!(seen, Ok(httparse::Status::Partial)),
            "{bytes:?} to {end}"
        );
    }
    if let Ok(httparse::Status::Complete(length)) = parse(bytes) {
        assert_eq!(end, Some(length - 1), "{bytes:?}");
    }

    let mut head = Head::default();
    let mut rest = bytes;
    let mut whole = false;
    for cut in cuts {
        let (piece, after) = rest.split_at(*cut % (rest.len() + 1));
        whole |= head.push(piece) == Progress::Whole;
        rest = after;
    }
    whole |= head.push(rest) == Progress::Whole;
    assert_eq!(whole, end.is_some(), "{bytes:?} cut at {cuts:?}");
    assert_eq!(head.into_parts().0, bytes);
}

/// What can end a line, move a cursor or turn the reading direction.
fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Nothing unsafe is left, what is safe is left alone, and what was escaped can be read back.
pub(crate) fn escaped(text: &str) {
    let escaped = Escaped(text).to_string();
    assert!(!escaped.contains(is_unsafe), "{escaped:?}");
    let mut rest = escaped.as_str();
    for c in text.chars() {
        let (read, after) = if is_unsafe(c) {
            unescape(rest).unwrap_or_else(|| panic!("{c:?} is not escaped at {rest:?}"))
        } else {
            let mut chars = rest.chars();
            (chars.next().unwrap_or_default(), chars.as_str())
        };
        assert_eq!(read, c, "{text:?} became {escaped:?}");
        rest = after;
    }
    assert_eq!(rest, "", "{text:?} became {escaped:?}");
}

/// The character whose escape `text` begins with, and what is behind it.
fn unescape(text: &str) -> Option<(char, &str)> {
    let rest = text.strip_prefix('\\')?;
    if let Some(code) = rest.strip_prefix("u{") {
        let (code, rest) = code.split_once('}')?;
        return Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, rest));
    }
    let mut chars = rest.chars();
    let c = match chars.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return None,
    };
    Some((c, chars.as_str()))
}
