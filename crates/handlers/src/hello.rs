//! `GET /api/v1/hello`: the endpoint to copy when you write your own.

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::{Context, Endpoint, Methods, Problem, Query, timestamp};

/// `GET /api/v1/hello?name=`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/api/v1/hello",
    Methods::GET,
    || web::to(hello),
    include_str!("../openapi/hello.json"),
);

/// Whom we greet when nobody is named.
pub(crate) const DEFAULT_NAME: &str = "CloudNative";

/// The longest name that we greet, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;

#[derive(Serialize)]
struct Greeting<'a> {
    message: String,
    timestamp: String,
    pod: &'a str,
}

/// Greets; the handler of [`ENDPOINT`].
///
/// # Errors
///
/// When the query is broken, or the name in it is not allowed: a 400.
pub async fn hello(req: HttpRequest, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let query = Query::parse(req.query_string())?;
    let name = query.one("name")?.unwrap_or(DEFAULT_NAME);
    check(name)?;
    Ok(HttpResponse::Ok()
        .insert_header(crate::NO_STORE)
        .json(Greeting {
            message: format!("Hello, {name}!"),
            timestamp: timestamp::millis(SystemTime::now()),
            pod: &context.info.hostname,
        }))
}

fn check(name: &str) -> Result<(), Problem> {
    let chars = name.chars().count();
    if chars == 0 || chars > MAX_NAME_CHARS {
        return Err(Problem::bad_request(format!(
            "'name' must have 1 to {MAX_NAME_CHARS} characters; this one has {chars}"
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::bad_request(
            "'name' must not contain control characters",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_characters_and_no_controls() {
        for good in ["x", "Ada Lovelace", "日本語", &"é".repeat(64)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in ["", &"x".repeat(65), "a\nb", "a\0", "\u{7f}", "\u{85}"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
