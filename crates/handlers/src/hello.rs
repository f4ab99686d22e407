//! `GET /api/v1/hello`: the endpoint to copy when you write your own.

use std::time::SystemTime;

use actix_web::{HttpResponse, get, web};
use berth_config::Hello;
use berth_kit::{BuildInfo, NO_STORE, Problem, Query};
use berth_metrics::Metrics;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The longest name that we greet, in characters.
const MAX_NAME_CHARS: usize = 64;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Params {
    /// Whom to greet, `CloudNative` where it is left out; no control characters
    #[serde(default = "default_name")]
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    )]
    name: String,
}

fn default_name() -> String {
    "CloudNative".to_owned()
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Greeting<'a> {
    #[schema(examples("Hello, CloudNative!"))]
    message: String,
    #[schema(format = "date-time")]
    timestamp: String,
    /// The host name of the instance that answered
    pod: &'a str,
}

/// Greet somebody
#[utoipa::path(
    params(Params),
    responses(
        (status = 200, description = "A greeting", body = Greeting),
        (status = 400, response = Problem),
    )
)]
#[get("/api/v1/hello")]
pub async fn hello(
    Query(Params { name }): Query<Params>,
    settings: web::Data<Hello>,
    info: web::Data<BuildInfo>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    check(&name)?;
    metrics.greetings.inc();
    // With the id and the route of the request, as every line here.
    log::debug!("greeting {name}");
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Greeting {
        message: format!("{}, {name}!", settings.greeting),
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
    use utoipa::openapi::path::ParameterIn;

    use super::*;

    /// What is documented of the name is what is held to.
    #[test]
    fn the_document_is_true() {
        let params = Params::into_params(|| Some(ParameterIn::Query));
        let params = serde_json::to_value(params).unwrap();
        assert_eq!(params[0]["schema"]["maxLength"], MAX_NAME_CHARS);
        let description = params[0]["description"].as_str().unwrap();
        assert!(description.contains(&default_name()), "{description}");
        assert_eq!(params[0]["required"], false);
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
