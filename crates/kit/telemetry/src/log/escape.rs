//! What keeps text that others have made to one line, one reading direction and one screen, and to a bounded length.

use std::{
    fmt::{self, Write as _},
    io,
};

use serde::Serialize;
use serde_json::ser::Formatter as JsonFormatter;

/// The most that is logged of a field that a client fills, in bytes before they are escaped, which makes three of
/// one at most: so an access line stays well below the 16 KiB at which Docker cuts a line in two.
pub const MAX_FIELD_BYTES: usize = 1024;

/// The most that is logged of a message, which may quote what a client sent, and of a field beside it, in bytes as
/// they are written.
const MAX_MESSAGE_BYTES: usize = 8 * MAX_FIELD_BYTES;

/// Stands where the rest of a field has been left out.
pub(super) const CUT: &str = "…[cut]";

/// Appends `text`, or as much of it as a field may have, with a mark that it was cut.
pub(super) fn push_cut(field: &mut String, text: &str) {
    if text.len() <= MAX_FIELD_BYTES {
        field.push_str(text);
    } else {
        field.push_str(&text[..text.floor_char_boundary(MAX_FIELD_BYTES)]);
        field.push_str(CUT);
    }
}

/// As [`push_cut`], for what may not be UTF-8; what is not becomes U+FFFD.
pub(super) fn push_cut_bytes(field: &mut String, bytes: &[u8]) {
    if bytes.len() <= MAX_FIELD_BYTES {
        field.push_str(&String::from_utf8_lossy(bytes));
        return;
    }
    let mut end = MAX_FIELD_BYTES;
    // Not in the middle of a character.
    while end > MAX_FIELD_BYTES - 3 && (0x80..0xc0).contains(&bytes[end]) {
        end -= 1;
    }
    field.push_str(&String::from_utf8_lossy(&bytes[..end]));
    field.push_str(CUT);
}

/// What can be displayed, as far as a message may go, with a mark where it was cut.
pub(super) struct Cut<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Cut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cutting = Cutting {
            out: f,
            left: Some(MAX_MESSAGE_BYTES),
        };
        let written = write!(cutting, "{}", self.0);
        match cutting.left {
            Some(_) => written,
            None => f.write_str(CUT),
        }
    }
}

struct Cutting<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    /// None: what came did not fit any more.
    left: Option<usize>,
}

impl fmt::Write for Cutting<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut left = self.left.ok_or(fmt::Error)?;
        for (at, c) in text.char_indices() {
            let Some(after) = left.checked_sub(escaped_length(c)) else {
                self.left = None;
                self.out.write_str(&text[..at])?;
                // What is not wanted need not be formatted.
                return Err(fmt::Error);
            };
            left = after;
        }
        self.left = Some(left);
        self.out.write_str(text)
    }
}

/// How many bytes a character may become.
fn escaped_length(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        _ if is_unsafe(c) => "\\u{feff}".len(),
        _ => c.len_utf8(),
    }
}

/// What can end a line, move a cursor, turn the reading direction or hide what stands beside it: control
/// characters, line and paragraph separators, and the invisible characters that direct how others are shown.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// The first character of `text` that is [unsafe](is_unsafe), what stands before it, and what behind it.
fn split_unsafe(text: &str) -> Option<(&str, char, &str)> {
    let (at, c) = text.char_indices().find(|(_, c)| is_unsafe(*c))?;
    Some((&text[..at], c, &text[at + c.len_utf8()..]))
}

/// Text with everything escaped that could end a line, move a cursor or turn the reading direction.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_str(self.0)
    }
}

/// The same for what is still in parts.
pub(super) struct EscapedParts<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for EscapedParts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((before, c, after)) = split_unsafe(rest) {
            write!(self.0, "{before}{}", c.escape_default())?;
            rest = after;
        }
        self.0.write_str(rest)
    }
}

/// JSON on one line, in which no character is [unsafe](is_unsafe): what JSON lets stand for itself is escaped, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct SafeJson;

impl JsonFormatter for SafeJson {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((before, c, after)) = split_unsafe(rest) {
            // All of them are in the first plane, so one group of four digits does.
            write!(writer, "{before}\\u{:04x}", u32::from(c))?;
            rest = after;
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A serializer whose JSON is [safe](SafeJson).
pub(super) fn json_serializer<W: io::Write>(writer: W) -> serde_json::Serializer<W, SafeJson> {
    serde_json::Serializer::with_formatter(writer, SafeJson)
}

/// Appends `text` as a JSON string.
pub(super) fn push_json(line: &mut Vec<u8>, text: &str) {
    // Most text stands for itself, and then one look and one copy do. It counts to the end, whatever
    // it finds, so that the compiler can look at many bytes at once.
    let is_special = |byte: &u8| !(b' '..0x7f).contains(byte) || *byte == b'"' || *byte == b'\\';
    if text
        .as_bytes()
        .iter()
        .filter(|byte| is_special(byte))
        .count()
        == 0
    {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        // A vector takes everything, and every string can be one in JSON.
        let _ = text.serialize(&mut json_serializer(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_end_a_line_or_move_a_cursor() {
        let forged = "a\n2026-01-01 ERROR b\r\u{1b}[2J\u{85}\u{2028}\u{202e}\u{feff}c\0é✓";
        assert_eq!(
            Escaped(forged).to_string(),
            "a\\n2026-01-01 ERROR b\\r\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}\\u{feff}c\\u{0}é✓"
        );
    }

    #[test]
    fn json_has_no_unsafe_character_and_reads_back() {
        for c in ('\0'..='\u{ffff}').chain(['\u{1f600}', '\u{e0001}']) {
            let mut line = Vec::new();
            push_json(&mut line, &format!("a{c}b"));
            let text = String::from_utf8(line).unwrap();
            assert!(!text.contains(is_unsafe), "{text:?}");
            assert_eq!(
                serde_json::from_str::<String>(&text).unwrap(),
                format!("a{c}b")
            );
            if !is_unsafe(c) {
                let usual = serde_json::to_string(&format!("a{c}b")).unwrap();
                assert_eq!(text, usual, "{c:?}");
            }
        }
        for text in ["", "plain", "é✓", "\"", "\\", "\n"] {
            let mut line = Vec::new();
            push_json(&mut line, text);
            assert_eq!(line, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn a_message_is_cut_by_what_it_becomes() {
        for c in ["a", "\0", "\"", "\u{feff}", "✓"] {
            let message = c.repeat(MAX_MESSAGE_BYTES / c.len() + 1);
            let cut = Cut(&message);
            let text = EscapedParts(&cut).to_string();
            let json = serde_json::to_string(&cut.to_string()).unwrap();
            for written in [&text, &json] {
                assert!(written.contains(CUT), "{c:?}");
                assert!(written.len() <= MAX_MESSAGE_BYTES + CUT.len() + 2, "{c:?}");
            }
            assert!(text.len() > MAX_MESSAGE_BYTES / 4, "{c:?}");
        }
        let whole = "a".repeat(MAX_MESSAGE_BYTES);
        assert_eq!(Cut(&whole).to_string(), whole);
        assert_eq!(Cut(format_args!("{}{}", 1, "b")).to_string(), "1b");
    }

    #[test]
    fn a_field_is_cut_between_two_characters() {
        for c in ["a", "é", "✓", "😀"] {
            for lead in 0..4 {
                let text = "a".repeat(lead) + &c.repeat(2 * MAX_FIELD_BYTES);
                let mut field = String::new();
                push_cut(&mut field, &text);
                let kept = field.strip_suffix(CUT).unwrap();
                assert!(text.starts_with(kept), "{kept}");
                assert!((MAX_FIELD_BYTES - 3..=MAX_FIELD_BYTES).contains(&kept.len()));
                let mut of_bytes = String::new();
                push_cut_bytes(&mut of_bytes, text.as_bytes());
                assert_eq!(of_bytes, field);
            }
        }
        let whole = "a".repeat(MAX_FIELD_BYTES);
        let mut field = String::new();
        push_cut(&mut field, &whole);
        assert_eq!(field, whole);
        let mut field = String::new();
        push_cut_bytes(&mut field, &[0x80; 2 * MAX_FIELD_BYTES]);
        assert!(field.ends_with(&format!("\u{fffd}{CUT}")));
    }
}
