//! The metrics of the service, declared in one place, each with its help text. What every service has
//! (requests, durations, the process) comes from the kit.

use berth_kit::{Result, prometheus::IntCounter};

/// The metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Greetings that were given.
    pub greetings: IntCounter,
}

impl Metrics {
    /// Makes them, at 0.
    ///
    /// # Errors
    ///
    /// When one has no valid name.
    pub fn new() -> Result<Self> {
        Ok(Self {
            greetings: IntCounter::new("berth_greetings_total", "Greetings that were given.")?,
        })
    }
}
