//! What routes cost: as many with a parameter as `ROUTES` says, and the last one is asked for, with
//! `/api/v1/things0/42`.
//!
//! ```text
//! KIND=raw|raw-scopes|axum|berth|berth-scopes ROUTES=200 PORT=8080 berth-bench-routes
//! ```
//!
//! `raw` is actix-web with nothing around it. `-scopes` has each route in a scope of its own; else each is a
//! pattern from the root.

use std::{env, process::ExitCode};

use actix_rt::System;
use actix_web::{App, HttpServer, Resource, Scope, web};
use anyhow::Context as _;
use axum::Router;
use berth_kit::{Build, Routes, Runtime, ServiceName, Settings};
use utoipa::openapi::{
    HttpMethod, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, path::OperationBuilder,
};

fn main() -> ExitCode {
    match serve() {
        Ok(code) => code,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a program for the bench has no log")]
            {
                eprintln!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn serve() -> anyhow::Result<ExitCode> {
    let kind = env::var("KIND").context("KIND is not set")?;
    let count: usize = env::var("ROUTES").context("ROUTES is not set")?.parse()?;
    let at = format!("127.0.0.1:{}", env::var("PORT").context("PORT is not set")?);
    let in_scopes = kind.ends_with("-scopes");
    match kind.as_str() {
        "berth" | "berth-scopes" => {
            let build = Build {
                name: ServiceName::new("berth"),
                version: env!("CARGO_PKG_VERSION"),
                revision: "unknown",
                rustc: "unknown",
            };
            return Ok(berth_kit::run(
                build,
                async move |_: Settings, _: &mut Runtime| {
                    Ok(Routes::new(move |cfg| {
                        for n in (0..count).rev() {
                            let get = |resource: Resource| resource.route(web::get().to(by_actix));
                            if in_scopes {
                                let scope = berth_kit::scope(&format!("/api/v1/things{n}"));
                                cfg.service(scope.configure(|cfg| {
                                    cfg.resource("/{id}", get, documented("/{id}", n));
                                }));
                            } else {
                                let path = format!("/api/v1/things{n}/{{id}}");
                                cfg.resource(&path, get, documented(&path, n));
                            }
                        }
                    }))
                },
            ));
        }
        "raw" | "raw-scopes" => System::new().block_on(
            HttpServer::new(move || App::new().configure(|app| mount(app, count, in_scopes)))
                .workers(1)
                .bind(at)?
                .run(),
        )?,
        _ => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let router = (0..count).rev().fold(Router::new(), |router, n| {
                    let path = format!("/api/v1/things{n}/{{id}}");
                    router.route(&path, axum::routing::get(by_axum))
                });
                axum::serve(tokio::net::TcpListener::bind(at).await?, router).await
            })?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The one that is asked for comes last.
fn mount(app: &mut web::ServiceConfig, count: usize, in_scopes: bool) {
    for n in (0..count).rev() {
        if in_scopes {
            app.service(scope(n));
        } else {
            app.service(resource(n));
        }
    }
}

fn scope(n: usize) -> Scope {
    web::scope(&format!("/api/v1/things{n}")).route("/{id}", web::get().to(by_actix))
}

fn resource(n: usize) -> Resource {
    web::resource(format!("/api/v1/things{n}/{{id}}")).route(web::get().to(by_actix))
}

fn documented(path: &str, n: usize) -> OpenApi {
    let operation = OperationBuilder::new().operation_id(Some(format!("things{n}")));
    let item = PathItem::new(HttpMethod::Get, operation);
    let paths = PathsBuilder::new().path(path, item);
    OpenApiBuilder::new().paths(paths).build()
}

async fn by_actix(id: web::Path<u32>) -> String {
    id.to_string()
}

async fn by_axum(id: axum::extract::Path<u32>) -> String {
    id.0.to_string()
}
