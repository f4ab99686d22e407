//! Drives the example `hello` as a real process, over real sockets and with real signals.
//!
//! Each test starts its own server on a port that the system picks, so they run side by side.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod broken_pipes;
mod cli;
mod client_address;
mod contract;
mod debug_routes;
mod errors;
#[path = "../support/examples.rs"]
mod examples;
mod lifecycle;
mod listening;
mod log_bounds;
mod logs;
mod management;
mod metrics;
mod mistakes;
mod network;
mod process;
mod readiness;
mod reload;
mod startup;
