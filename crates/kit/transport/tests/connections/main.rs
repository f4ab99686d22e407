//! Drives a server in this process over real sockets, with an actix-web `App` in it.
//!
//! Each test starts its own server on a port that the system picks, so they run side by side.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod eviction;
mod fixture;
mod refusals;
mod requests;
mod stop;
mod upgrades;
