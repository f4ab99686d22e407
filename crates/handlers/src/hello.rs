//! `GET /api/v1/hello`: the endpoint to copy when you write your own.

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Context, Endpoint, Methods, Problem, Query, openapi};

/// `GET /api/v1/hello?name=`
pub const ENDPOINT: Endpoint =
    Endpoint::new("/api/v1/hello", Methods::GET, || web::to(hello), docs);

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

async fn hello(req: HttpRequest, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let query = Query::parse(req.query_string())?;
    let name = query.one("name")?.unwrap_or(DEFAULT_NAME);
    check(name)?;
    Ok(HttpResponse::Ok()
        .insert_header(crate::NO_STORE)
        .json(Greeting {
            message: format!("Hello, {name}!"),
            timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
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

fn docs() -> Value {
    let greeting = json!({
        "type": "object",
        "required": ["message", "timestamp", "pod"],
        "additionalProperties": false,
        "properties": {
            "message": { "type": "string", "examples": ["Hello, CloudNative!"] },
            "timestamp": { "type": "string", "format": "date-time" },
            "pod": { "type": "string", "description": "The host name of the instance that answered" }
        }
    });
    json!({ "get": {
        "operationId": "hello",
        "summary": "Greet somebody",
        "parameters": [{
            "name": "name",
            "in": "query",
            "description": "Whom to greet; no control characters",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME_CHARS,
                "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
                "default": DEFAULT_NAME
            }
        }],
        "responses": {
            "200": openapi::json_response("A greeting", &greeting),
            "400": openapi::problem(),
            "default": openapi::problem()
        }
    } })
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
