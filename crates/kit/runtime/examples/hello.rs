//! The smallest service that answers something: what the tests in `tests/it` and the trials in `tests/torture` drive,
//! so that what a team makes of its own service changes nothing for them.

use std::{process::ExitCode, time::SystemTime};

use actix_web::{HttpResponse, get, web};
use berth_kit::{
    Build, BuildInfo, NO_STORE, Problem, Query, Result, Routes, Runtime, ServiceConfig,
    ServiceName, Settings,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

fn main() -> ExitCode {
    let build = Build {
        name: const { ServiceName::new("berth") },
        version: env!("CARGO_PKG_VERSION"),
        revision: "unknown",
        rustc: env!("CARGO_PKG_RUST_VERSION"),
    };
    berth_kit::run(build, build_service)
}

async fn build_service(_settings: Settings, _runtime: &mut Runtime) -> Result<Routes> {
    Ok(Routes::new(mount))
}

fn mount(cfg: &mut ServiceConfig<'_>) {
    cfg.service(hello).service(info);
}

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
async fn hello(
    Query(Params { name }): Query<Params>,
    build: web::Data<BuildInfo>,
) -> Result<HttpResponse, Problem> {
    let chars = name.chars().count();
    if !(1..=64).contains(&chars) {
        let detail = format!("'name' must have 1 to 64 characters; this one has {chars}");
        return Err(Problem::bad_request(detail));
    }
    if name.chars().any(char::is_control) {
        let detail = "'name' must not contain control characters";
        return Err(Problem::bad_request(detail));
    }
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Greeting {
        message: format!("Hello, {name}!"),
        timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        pod: &build.hostname,
    }))
}

/// What is running
#[utoipa::path(responses((status = 200, description = "What is running", body = BuildInfo)))]
#[get("/api/v1/info")]
async fn info(build: web::Data<BuildInfo>) -> HttpResponse {
    HttpResponse::Ok().insert_header(NO_STORE).json(&build)
}
