//! The log's settings for the log.

use berth_kit_settings::{Log, LogFormat};
use berth_kit_telemetry::log as logging;

/// The log's settings, as the log takes them.
pub(crate) fn log_options(settings: &Log) -> logging::Options {
    logging::Options {
        filter: settings.filter.clone(),
        format: match settings.format {
            LogFormat::Text => logging::Format::Text,
            LogFormat::Json => logging::Format::Json,
        },
        access: settings.access,
        probes: settings.probes,
    }
}
