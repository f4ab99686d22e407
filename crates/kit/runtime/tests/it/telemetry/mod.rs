//! What the server tells of itself: metrics and the log.

mod log_bounds;
mod logs;
pub(crate) mod metrics;
