//! Drives the real binary over real sockets, on a real `PostgreSQL` that the tests start.
//!
//! Each test has a database and instances of its own, so they run side by side.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod admin;
mod contract;
mod endpoints;
mod export;
mod idempotency;
mod operation;
mod paging;
mod payments;
mod postgres;
mod process;
