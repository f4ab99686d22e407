//! The endpoints of the service: one file each, put together in [`build`].
//!
//! To add one: write its file, then add its line to `routes`. 405 with `Allow`, time and body limits, metrics
//! label, access log and OpenAPI follow by themselves.

pub mod hello;
pub mod info;

use berth_config::Settings;
use berth_kit::{Result, Routes, Runtime, ServiceConfig};
use berth_metrics::Metrics;

/// Builds the service: what it connects to belongs here. Meanwhile it is not ready, and a signal ends it.
///
/// # Errors
///
/// When a metric has no valid name.
pub async fn build(settings: Settings, runtime: &mut Runtime) -> Result<Routes> {
    let metrics = Metrics::new()?;
    runtime.metric(metrics.greetings.clone());
    Ok(Routes::new(routes).data(metrics).data(settings.hello))
}

/// What is served; a test writes the contract by it, without what [`build`] connects to.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(hello::hello).service(info::info);
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
