//! Whatever a service mounts, and however, the same holds for it: the example `fixture`, as a real process.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod contract;
mod errors;
mod fixture;
mod limits;
mod logs;
mod messages;
mod own_errors;
mod streams;
#[path = "../support/mod.rs"]
mod support;
