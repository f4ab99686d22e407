//! `GET /api/v1/hello`: the endpoint to copy when you write your own.

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use berth_kit::{BuildInfo, Endpoint, Methods, NO_STORE, Problem, Query};
use berth_metrics::Metrics;
use serde::Serialize;

/// `GET /api/v1/hello?name=`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/api/v1/hello",
    Methods::GET,
    || web::to(hello),
    include_str!("../openapi/hello.json"),
);

/// Whom we greet when nobody is named.
const DEFAULT_NAME: &str = "CloudNative";

/// The longest name that we greet, in characters.
const MAX_NAME_CHARS: usize = 64;

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
pub async fn hello(
    req: HttpRequest,
    info: web::Data<BuildInfo>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    let query = Query::parse(req.query_string())?;
    let name = query.one("name")?.unwrap_or(DEFAULT_NAME);
    check(name)?;
    metrics.greetings.inc();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Greeting {
        message: format!("Hello, {name}!"),
        timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        pod: &info.hostname,
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

    /// What is documented of the name is what is held to.
    #[test]
    fn the_document_is_true() {
        let schema = |key: &str, value: &str| format!("\"{key}\": {value}");
        let document: String = ENDPOINT.openapi().split_whitespace().collect();
        for (key, value) in [
            ("maxLength", MAX_NAME_CHARS.to_string()),
            ("default", format!("\"{DEFAULT_NAME}\"")),
        ] {
            let part = schema(key, &value).replace(' ', "");
            assert!(document.contains(&part), "no {part} in {document}");
        }
    }

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
