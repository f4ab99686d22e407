//! What a service tells of itself: a log that never blocks a worker, and metrics.
//!
//! This crate knows no route and no setting of anybody's.

pub mod log;
pub mod metrics;

pub use prometheus;
