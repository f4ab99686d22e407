//! What holds whatever a client sends. The fuzz targets ask the same of inputs of their own.

use std::time::Duration;

use berth_kit_http::{Query, QueryError, duration};
use url::form_urlencoded;

/// Names to ask a query for: `one` takes only what is written in the program.
pub(crate) const NAMES: [&str; 8] = ["", "a", "b", "name", "a b", "%", "&=+", "é\0"];

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
    match Query::parse(text) {
        Ok(query) => {
            assert!(!is_broken && is_utf8, "{text:?} must not be taken");
            holds_exactly(&query, &expected, text);
        }
        Err(QueryError::Percent) => assert!(is_broken, "{text:?} has no broken percent"),
        Err(QueryError::Utf8) => assert!(!is_utf8, "{text:?} is UTF-8"),
        Err(QueryError::Repeated(_)) => panic!("{text:?}: nobody asked for one"),
    }
}

/// What was encoded comes back.
pub(crate) fn query_round_trip(encoded: &str, pairs: &[(String, String)]) {
    let query = Query::parse(encoded).expect("it is well-formed");
    holds_exactly(&query, pairs, encoded);
}

fn holds_exactly<T: AsRef<str>>(query: &Query<'_>, expected: &[(T, T)], text: &str) {
    for (name, _) in expected {
        assert!(query.has(name.as_ref()), "{text:?}: {:?}", name.as_ref());
    }
    for name in NAMES {
        let values: Vec<&str> = expected
            .iter()
            .filter(|(n, _)| n.as_ref() == name)
            .map(|(_, value)| value.as_ref())
            .collect();
        let one = match values[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(QueryError::Repeated(name)),
        };
        assert_eq!(query.one(name), one, "{text:?}: {name:?}");
        assert_eq!(query.has(name), !values.is_empty(), "{text:?}: {name:?}");
    }
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
