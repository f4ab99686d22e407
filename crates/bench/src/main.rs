//! What Berth is measured against by `just bench`: the same handler, once with nothing around it,
//! which is the limit, and once with the middleware that is ready-made; and the same answer by axum.
//!
//! ```text
//! PORT=8080 berth-bench raw          actix-web and the handler
//! PORT=8080 berth-bench ready-made   and actix-web-prom, and actix's own Logger through env_logger
//! PORT=8080 berth-bench axum         axum with metrics, a JSON log, request ids and a timeout
//! ```

mod axum;

use std::{env, sync::Arc, time::Duration};

use actix_rt::System;
use actix_web::{App, HttpServer, middleware::Logger, web};
use actix_web_prom::PrometheusMetricsBuilder;
use anyhow::{Context as _, anyhow, bail};
use berth_handlers::{Context, Health, Info, Timeout, hello};
use mimalloc::MiMalloc;

// Berth's, so that what differs is what stands around the handler.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> anyhow::Result<()> {
    let kind = env::args()
        .nth(1)
        .context("name what to serve: raw, ready-made or axum")?;
    let port: u16 = env::var("PORT")
        .context("PORT is not set")?
        .parse()
        .context("PORT is not a port")?;
    let workers: usize = env::var("BERTH__SERVER__WORKERS").map_or(Ok(1), |n| n.parse())?;
    if kind == "axum" {
        return axum::serve(port, workers);
    }
    let context = web::Data::new(context());
    let at = ("127.0.0.1", port);
    System::new().block_on(async move {
        let server = match kind.as_str() {
            "raw" => HttpServer::new(move || {
                App::new()
                    .app_data(context.clone())
                    .route(hello::ENDPOINT.path.as_ref(), web::get().to(hello::hello))
            })
            .workers(workers)
            .bind(at)?
            .run(),
            "ready-made" => {
                env_logger::Builder::new()
                    .parse_filters("info")
                    .try_init()?;
                let metrics = PrometheusMetricsBuilder::new("api")
                    .endpoint("/metrics")
                    .build()
                    .map_err(|error| anyhow!("{error}"))?;
                HttpServer::new(move || {
                    App::new()
                        .app_data(context.clone())
                        .wrap(metrics.clone())
                        .wrap(Logger::default())
                        .route(hello::ENDPOINT.path.as_ref(), web::get().to(hello::hello))
                })
                .workers(workers)
                .bind(at)?
                .run()
            }
            _ => bail!("{kind} is not raw, ready-made or axum"),
        };
        Ok(server.await?)
    })
}

/// What the handler needs.
fn context() -> Context {
    Context {
        health: Arc::new(Health::new(Vec::new())),
        info: Info {
            app: "berth".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: String::new(),
            hostname: env::var("HOSTNAME").unwrap_or_else(|_| "bench".to_owned()),
            env: String::new(),
            rustc: String::new(),
            message: String::new(),
        },
        request_timeout: Timeout::new(Duration::from_secs(30)),
        max_body_bytes: 1024 * 1024,
    }
}
