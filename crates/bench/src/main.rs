//! What Berth is measured against by `just bench`: the same handler, once with nothing around it,
//! which is the limit, and once with the middleware that is ready-made; and the same answer by axum.
//!
//! ```text
//! PORT=8080 berth-bench raw          actix-web and the handler
//! PORT=8080 berth-bench ready-made   and actix-web-prom, and actix's own Logger through env_logger
//! PORT=8080 berth-bench axum         axum with metrics, a JSON log, request ids and a timeout
//! ```

#[cfg(feature = "axum")]
mod axum;

use std::env;

use actix_rt::System;
use actix_web::{App, HttpServer, middleware::Logger, web};
use actix_web_prom::PrometheusMetricsBuilder;
use anyhow::{Context as _, anyhow, bail};
use berth_config::Hello;
use berth_handlers::hello;
use berth_kit::BuildInfo;
use berth_metrics::Metrics;

fn main() -> anyhow::Result<()> {
    let kind = env::args()
        .nth(1)
        .context("name what to serve: raw, ready-made or axum")?;
    let port: u16 = env::var("PORT")
        .context("PORT is not set")?
        .parse()
        .context("PORT is not a port")?;
    let workers: usize = env::var("BERTH__SERVER__WORKERS").map_or(Ok(1), |n| n.parse())?;
    #[cfg(feature = "axum")]
    if kind == "axum" {
        return axum::serve(port, workers);
    }
    let info = web::Data::new(info());
    let own = web::Data::new(Metrics::new()?);
    let hello = web::Data::new(Hello::default());
    let at = ("127.0.0.1", port);
    System::new().block_on(async move {
        let server = match kind.as_str() {
            "raw" => HttpServer::new(move || {
                App::new()
                    .app_data(info.clone())
                    .app_data(own.clone())
                    .app_data(hello.clone())
                    .service(hello::hello)
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
                        .app_data(info.clone())
                        .app_data(own.clone())
                        .app_data(hello.clone())
                        .wrap(metrics.clone())
                        .wrap(Logger::default())
                        .service(hello::hello)
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

/// What the handler needs. (The allocator is Berth's: its crate brings it along.)
fn info() -> BuildInfo {
    BuildInfo {
        app: "berth".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: String::new(),
        hostname: env::var("HOSTNAME").unwrap_or_else(|_| "bench".to_owned()),
        env: String::new(),
        rustc: String::new(),
        message: String::new(),
    }
}
