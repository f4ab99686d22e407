//! A strict reader of query strings.
//!
//! The usual decoders pass broken percent-encoding through as text, so a client's mistake would
//! come back to it as data. This one says what is wrong.

use std::borrow::Cow;

/// Why a query string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits after it.
    #[error("the query has a broken percent-encoding: write % itself as %25")]
    Percent,
    /// Decoded, it is not UTF-8.
    #[error("the query is not UTF-8 once it is decoded")]
    Utf8,
    /// A parameter that may stand once stands more often.
    #[error("the query parameter '{0}' may be given only once")]
    Repeated(&'static str),
}

/// The decoded parameters of a query string, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads `name=value` pairs joined by `&`, form-encoded: `+` is a space, `%XX` a byte.
    ///
    /// # Errors
    ///
    /// When any name or value in it, asked for or not, has a broken percent-encoding or is not
    /// UTF-8.
    pub fn parse(query: &'a str) -> Result<Self, QueryError> {
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the parameter `name` is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// The value of the parameter `name`, if it is there.
    ///
    /// # Errors
    ///
    /// When it is there more than once: whichever one we took would be the wrong one for somebody.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, QueryError> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v);
        let first = values.next();
        if values.next().is_some() {
            return Err(QueryError::Repeated(name));
        }
        Ok(first.map(AsRef::as_ref))
    }
}

/// Form-decodes one name or value. Borrows where there is nothing to decode.
fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(QueryError::Percent)?;
                let low = bytes.next().and_then(hex).ok_or(QueryError::Percent)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| QueryError::Utf8)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(query: &str) -> Result<Option<String>, QueryError> {
        Ok(Query::parse(query)?.one("name")?.map(str::to_owned))
    }

    #[test]
    fn decodes_what_is_well_formed() {
        for (query, expected) in [
            ("", None),
            ("other=1", None),
            ("name=Ada", Some("Ada")),
            ("name=", Some("")),
            ("name", Some("")),
            ("a=1&name=Ada+Lovelace&b=2", Some("Ada Lovelace")),
            ("name=%41%64a", Some("Ada")),
            ("na%6De=Ada", Some("Ada")),
            ("name=a=b", Some("a=b")),
            ("name=%E2%9C%93", Some("✓")),
            ("&&name=x&", Some("x")),
        ] {
            assert_eq!(name(query).unwrap().as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn refuses_what_is_broken_wherever_it_stands() {
        for query in [
            "name=%",
            "name=%4",
            "name=%zz",
            "name=%+1",
            "%=1",
            "other=%g0&name=x",
        ] {
            assert_eq!(name(query), Err(QueryError::Percent), "{query}");
        }
        assert_eq!(name("name=%ff"), Err(QueryError::Utf8));
        assert_eq!(name("name=%c3%28"), Err(QueryError::Utf8));
        assert_eq!(name("name=a&name=b"), Err(QueryError::Repeated("name")));
        assert_eq!(name("other=a&other=b"), Ok(None));
    }
}
