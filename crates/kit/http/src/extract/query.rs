//! A strict extractor for query strings.
//!
//! The usual ones pass broken percent-encoding through as text, so a client's mistake would come back to it as
//! data. This one says what is wrong, and with which parameter.

use std::{
    future::{Ready, ready},
    str,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of the query string, form-encoded: `+` is a space, `%XX` a byte. What is badly encoded, no value
/// of its field, or given twice for a field that takes one value, is a 400. So is a parameter that there is no
/// field for, where `T` has `#[serde(deny_unknown_fields)]`.
///
/// ```
/// use actix_web::{Responder, get};
/// use berth_kit_http::Query;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Page {
///     #[serde(default)]
///     offset: u32,
///     #[serde(default)]
///     tag: Vec<String>,
/// }
///
/// #[get("/orders")]
/// async fn list(Query(page): Query<Page>) -> impl Responder {
///     format!("from {}, with {:?}", page.offset, page.tag)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// Why a query string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits after it.
    #[error("the query has a broken percent-encoding: write % itself as %25")]
    Percent,
    /// Decoded, it is not UTF-8.
    #[error("the query is not UTF-8 once it is decoded")]
    Utf8,
    /// A parameter that is missing, that there is not, that has a wrong value or more than one.
    #[error("{0}")]
    Value(String),
}

impl<T: DeserializeOwned> Query<T> {
    /// Reads a query string.
    ///
    /// # Errors
    ///
    /// When anything in it is not what `T` says, or badly encoded.
    pub fn read(query: &str) -> Result<Self, QueryError> {
        for part in query.split(['&', '=']) {
            check(part)?;
        }
        // The first costs a third of the second, and knows neither repeated parameters nor empty ones that
        // are none.
        serde_urlencoded::from_str(query)
            .or_else(|_| serde_html_form::from_str(query))
            .map(Self)
            .map_err(|error| QueryError::Value(Self::told(query, &error)))
    }

    /// What `error` says, with the parameter that it is about.
    fn told(query: &str, error: &serde_html_form::de::Error) -> String {
        let pairs = serde_html_form::Deserializer::from_bytes(query.as_bytes());
        let Err(located) = serde_path_to_error::deserialize::<_, T>(pairs) else {
            return format!("the query: {error}");
        };
        let name = located.path().to_string();
        let pairs: Vec<(String, String)> = serde_html_form::from_str(query).unwrap_or_default();
        match pairs.iter().filter(|(known, _)| *known == name).count() {
            0 => format!("the query: {error}"),
            1 => format!("the query parameter '{name}': {error}"),
            _ => format!("the query parameter '{name}' may be given only once"),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(req.query_string()).map_err(Problem::from))
    }
}

/// Whether a name or a value is well encoded.
fn check(text: &str) -> Result<(), QueryError> {
    if !text.contains('%') {
        return Ok(());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit(), digit());
            let byte = high.zip(low).map(|(high, low)| high << 4 | low);
            byte.and_then(|byte| u8::try_from(byte).ok())
                .ok_or(QueryError::Percent)?
        } else {
            byte
        });
    }
    str::from_utf8(&decoded)
        .map(|_| ())
        .map_err(|_| QueryError::Utf8)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        name: Option<String>,
        n: Option<u8>,
        #[serde(default)]
        tag: Vec<String>,
    }

    fn read(query: &str) -> Result<Params, QueryError> {
        Query::read(query).map(|Query(params)| params)
    }

    #[test]
    fn decodes_what_is_well_formed() {
        for (query, expected) in [
            ("", None),
            ("n=1", None),
            ("name=Ada", Some("Ada")),
            ("name=", Some("")),
            ("name", Some("")),
            ("n=1&name=Ada+Lovelace&tag=2", Some("Ada Lovelace")),
            ("name=%41%64a", Some("Ada")),
            ("na%6De=Ada", Some("Ada")),
            ("name=a=b", Some("a=b")),
            ("name=%E2%9C%93", Some("✓")),
            ("&&name=x&", Some("x")),
        ] {
            assert_eq!(read(query).unwrap().name.as_deref(), expected, "{query}");
        }
        assert_eq!(read("tag=a&tag=b&tag=c").unwrap().tag, ["a", "b", "c"]);
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
            assert_eq!(read(query), Err(QueryError::Percent), "{query}");
        }
        assert_eq!(read("name=%ff"), Err(QueryError::Utf8));
        assert_eq!(read("name=%c3%28"), Err(QueryError::Utf8));
        for query in ["nme=Ada", "name=Ada&nme=", "nme", "Name=Ada"] {
            let error = read(query).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{query}: {error}");
            assert!(error.contains("`tag`"), "{query}: {error}");
        }
        for (query, text) in [
            ("name=a&name=b", "'name' may be given only once"),
            ("n=1&n=1", "'n' may be given only once"),
            ("n=x", "'n': invalid digit"),
            ("n=256", "'n': number too large"),
        ] {
            let error = read(query).unwrap_err();
            assert!(matches!(error, QueryError::Value(_)), "{query}: {error}");
            assert!(error.to_string().contains(text), "{query}: {error}");
        }
    }
}
