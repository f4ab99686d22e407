//! The endpoints of the service: one file each, put together in [`service`].
//!
//! Router, 405 with `Allow`, time and body limits, metrics label, access log and OpenAPI follow from an
//! endpoint's declaration. To add one: write its file, then add its line below.

pub mod hello;
pub mod info;

use berth_kit::{Result, Service};
use berth_metrics::Metrics;

/// The service.
///
/// # Errors
///
/// When a metric has no valid name.
pub fn service() -> Result<Service> {
    let metrics = Metrics::new()?;
    Ok(Service::new()
        .endpoints([hello::ENDPOINT, info::ENDPOINT])
        .metric(metrics.greetings.clone())
        .data(metrics))
}
