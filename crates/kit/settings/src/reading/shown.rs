//! Text of others, as it is shown: on one line, cut, and no secret.

use std::fmt::Write as _;
use std::iter;

/// Whether the value of `key` must not be shown.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    ["password", "secret", "token", "credential", "api_key"]
        .iter()
        .any(|word| key.contains(word))
}

/// `text` as a TOML string, cut after `limit` characters.
pub(crate) fn quote(text: &str, limit: usize) -> String {
    format!("\"{}\"", escape(text, limit))
}

/// `text` on one line, in TOML's escapes: no terminal or log is told anything by it.
pub(crate) fn escape(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == limit {
            out.push('…');
            break;
        }
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Length 1: `escape_debug` finds it printable as it is.
            c if c == '\'' || c.escape_debug().len() == 1 => out.extend(iter::once(c)),
            c => write!(out, "\\U{:08X}", u32::from(c)).expect("a string takes all writes"),
        }
    }
    out
}

/// An unknown key, cut to what a person needs to recognise it.
pub(crate) fn cut(mut key: String) -> String {
    const LIMIT: usize = 160;
    if let Some((at, _)) = key.char_indices().nth(LIMIT) {
        key.truncate(at);
        key.push('…');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_could_forge_a_line_or_hide() {
        assert_eq!(
            quote("a\"b\\c\n\u{1b}[0m\u{202e}é'", 80),
            r#""a\"b\\c\n\U0000001B[0m\U0000202Eé'""#
        );
        assert_eq!(
            quote(&"é".repeat(81), 80),
            format!("\"{}…\"", "é".repeat(80))
        );
    }

    #[test]
    fn knows_secrets_by_name() {
        for key in [
            "db.password",
            "x.API-Key",
            "auth.tokens",
            "a.client_secret",
            "credentials",
        ] {
            assert!(is_secret(key), "{key}");
        }
        assert!(!is_secret("server.keep_alive"));
    }
}
