//! Requests and their answers.

mod bad_requests;
mod bodies;
mod client_address;
mod contract;
mod debug_routes;
mod handlers;
mod keep_alive;
mod mistakes;
mod pipelining;
mod timeouts;

use std::time::Duration;

/// How long a client pauses between two things that it sends: less than any timeout of those servers.
const MOMENT: Duration = Duration::from_millis(400);
