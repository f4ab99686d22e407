//! Drives the example `hello` as a real process, over real sockets and with real signals.
//!
//! Each test starts its own server on a port that the system picks, so they run side by side.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

#[path = "../support/examples.rs"]
mod examples;
mod lifecycle;
mod management;
mod network;
mod process;
mod readiness;
mod reload;
mod requests;
mod telemetry;
