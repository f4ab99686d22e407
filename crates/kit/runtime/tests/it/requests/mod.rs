//! Requests and their answers.

mod bad_requests;
mod bodies;
mod contract;
mod debug_routes;
mod handlers;
mod keep_alive;
mod pipelining;
mod timeouts;

use std::time::Duration;

/// Longer than a connection stays with actix when nothing comes on it.
const MOMENT: Duration = Duration::from_millis(400);
