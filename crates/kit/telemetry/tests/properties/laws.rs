//! What holds whatever is logged. The fuzz targets ask the same of inputs of their own.

use berth_kit_telemetry::log::Escaped;

/// What can end a line, move a cursor or turn the reading direction.
fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
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
