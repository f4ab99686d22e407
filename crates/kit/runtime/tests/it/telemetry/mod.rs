//! What the server tells of itself: metrics and the log.

mod logs;
mod metrics;
