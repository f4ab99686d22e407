//! The endpoints of the service, put together in [`build`].

pub mod admin;
pub mod auth;
pub mod db;
pub mod error;
pub mod export;
pub mod idempotency;
pub mod orders;
pub mod payment;
pub mod store;
pub mod worker;

use actix_web::middleware::from_fn;
use berth_kit::{Dependency, Result, Routes, Runtime, ServiceConfig, scope};
use orders_config::Settings;
use orders_metrics::{Metrics, Pool};
use utoipa::OpenApi as _;

use crate::{auth::AdminToken, db::Db, export::Exports, orders::PageSizes, payment::Payment};

/// Builds the service: connects to the database and migrates it. Meanwhile it is not ready, and a signal ends it.
///
/// # Errors
///
/// When the database is not there or cannot be migrated.
pub async fn build(settings: Settings, runtime: &mut Runtime) -> Result<Routes> {
    let metrics = Metrics::new()?;
    metrics.register(runtime);

    let db = Db::connect(&settings.database).await?;
    runtime.metric(Pool::new({
        let db = db.clone();
        move || db.usage()
    })?);
    let mut database = Dependency::with("database", db.clone(), async |db| Ok(db.ping().await?));
    database.policy.interval = settings.database.check_interval;
    runtime.readiness(database);
    runtime.on_stop("database", {
        let db = db.clone();
        async move { db.close().await }
    });

    match Payment::new(&settings.payment, &metrics)? {
        Some(payment) => {
            let worker = worker::Worker {
                // One of its own: it keeps no request waiting, and none keeps it.
                pool: db::pool(&settings.database, 1)?,
                payment,
                metrics: metrics.clone(),
                poll_interval: settings.payment.poll_interval,
            };
            runtime.task("worker", move |stop| worker.run(stop));
        }
        None => log::warn!("payment.url is not set: orders stay pending"),
    }
    let ttl = settings.orders.idempotency_ttl;
    runtime.task("cleaner", {
        let db = db.clone();
        move |stop| idempotency::clean(db, ttl, stop)
    });

    Ok(Routes::new(routes)
        .data(db)
        .data(metrics)
        .data(PageSizes::from(&settings.orders))
        .data(Exports::new(settings.orders.max_exports))
        .data(AdminToken::new(settings.admin.token.as_ref())))
}

/// What is served.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    let orders = scope("/api/v1/orders")
        .service(orders::list)
        .service(orders::create)
        // Before what it would be an id for.
        .service(export::export)
        .service(orders::show)
        .service(orders::replace)
        .service(orders::remove);
    let admin = scope("/api/v1/admin")
        .service(admin::stats)
        .wrap(from_fn(auth::bearer));
    cfg.service(orders)
        .service(admin)
        .openapi(auth::Documentation::openapi());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn every_route_is_documented() {
        let survey = Routes::new(routes).survey().await.unwrap();
        assert_eq!(survey.undocumented(), [""; 0]);
    }
}
