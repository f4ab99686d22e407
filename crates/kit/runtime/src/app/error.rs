//! Why a port cannot have its app.

use berth_kit_http::{Conflict, openapi};
use berth_kit_telemetry::metrics;

/// Routes, metrics and settings do not go together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    /// Two handlers answer the same, or one is never reached.
    #[error(transparent)]
    Routes(#[from] Conflict),
    /// What is documented of them is no document.
    #[error(transparent)]
    Document(#[from] openapi::Error),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
    /// A setting is right by itself, and does not go with the routes.
    #[error(transparent)]
    Settings(#[from] berth_kit_settings::Error),
}
