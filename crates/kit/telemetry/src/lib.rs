//! What a service tells of itself: a log that never blocks a worker, and metrics.
//!
//! This crate knows no route and no setting of anybody's, and it exports nothing by itself: Prometheus scrapes, and
//! the log goes to stderr, where the platform takes it. A service gives its own metrics to `Runtime::metric` of
//! `berth-kit`, and logs by the macros of the crate `log`.
//!
//! ```
//! use std::time::Duration;
//!
//! use berth_kit_http::RouteTable;
//! use berth_kit_telemetry::{metrics::{Build, Metrics}, prometheus::IntCounter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let build = Build { version: "1.0.0", revision: "unknown", rustc: "1.95.0" };
//! let table = RouteTable::new(Vec::new(), None).into();
//! let metrics = Metrics::new(build, table, Duration::from_secs(5))?;
//! let orders = IntCounter::new("shop_orders_total", "Orders that were taken.")?;
//! metrics.register(orders.clone())?;
//! orders.inc();
//! assert!(metrics.encode()?.contains("\nshop_orders_total 1\n"));
//! # Ok(())
//! # }
//! ```

pub mod log;
pub mod metrics;

pub use prometheus;
