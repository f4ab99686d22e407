//! The metrics of the service, declared in one place, each with its help text. What every service has
//! (requests, durations, the process) comes from the kit.

mod pool;

use berth_kit::{
    Result, Runtime,
    prometheus::{IntCounter, IntCounterVec, opts},
};

pub use pool::{Pool, Usage};

/// The metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Orders that were taken.
    pub created: IntCounter,
    /// Answers that were given once more, for an `Idempotency-Key` that was known.
    pub replayed: IntCounter,
    /// What became of orders: `confirmed`, `rejected`, `put_off`.
    pub outcomes: IntCounterVec,
    /// Attempts to take the money: `ok`, `refused`, `failed`.
    pub charges: IntCounterVec,
}

impl Metrics {
    /// Makes them, at 0.
    ///
    /// # Errors
    ///
    /// When one has no valid name.
    pub fn new() -> Result<Self> {
        Ok(Self {
            created: IntCounter::new("orders_created_total", "Orders that were taken.")?,
            replayed: IntCounter::new(
                "orders_replayed_total",
                "Answers that were given once more, for a known Idempotency-Key.",
            )?,
            outcomes: labelled(
                "orders_outcomes_total",
                "What became of orders.",
                "outcome",
                &["confirmed", "rejected", "put_off"],
            )?,
            charges: labelled(
                "orders_charges_total",
                "Attempts to take the money of an order.",
                "result",
                &["ok", "refused", "failed"],
            )?,
        })
    }

    /// Has the service show them.
    pub fn register(&self, runtime: &mut Runtime) {
        runtime.metric(self.created.clone());
        runtime.metric(self.replayed.clone());
        runtime.metric(self.outcomes.clone());
        runtime.metric(self.charges.clone());
    }
}

/// A counter for each of these values of a label.
fn labelled(name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntCounterVec> {
    let metric = IntCounterVec::new(opts!(name, help), &[label])?;
    for value in values {
        metric.with_label_values(&[value]);
    }
    Ok(metric)
}
