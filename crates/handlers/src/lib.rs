//! The endpoints of the service: one file each, put together in [`build`].
//!
//! Router, 405 with `Allow`, time and body limits, metrics label, access log and OpenAPI follow from an
//! endpoint's declaration. To add one: write its file, then add its line below.

pub mod hello;
pub mod info;

use berth_config::Settings;
use berth_kit::{Result, Service};
use berth_metrics::Metrics;

/// Builds the service: what it connects to belongs here. Meanwhile it is not ready, and a signal ends it.
///
/// # Errors
///
/// When a metric has no valid name.
pub async fn build(_settings: Settings) -> Result<Service> {
    let metrics = Metrics::new()?;
    Ok(Service::new()
        .endpoints([hello::ENDPOINT, info::ENDPOINT])
        .metric(metrics.greetings.clone())
        .data(metrics))
}
