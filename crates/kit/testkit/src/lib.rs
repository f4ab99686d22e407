//! For tests of a service: starts the real binary, and asks it over real sockets.
//!
//! ```no_run
//! use berth_testkit::{Process, service};
//!
//! // In a test: `env!("CARGO_BIN_EXE_shop")` is what cargo has built.
//! let program = "target/debug/shop";
//! let shop = Process::start(service("shop", program, &[("SHOP__LOG__FORMAT", "json")]));
//! assert_eq!(shop.get("/api/v1/orders").status, 200);
//! shop.client().request("DELETE", "/api/v1/orders/0", "").assert_problem(404);
//! shop.stop();
//! ```
//!
//! [`Postgres`] is a database for it.
//!
//! Whatever fails here has failed its test, and panics with what was seen.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a helper that fails has failed its test; that it has not may be all that is asked"
)]

mod client;
mod postgres;
mod process;

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

pub use client::{Client, Response};
pub use postgres::Postgres;
pub use process::{Process, service};

/// Longer than anything may take; what takes so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port of `127.0.0.1` that was free a moment ago.
pub fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}
