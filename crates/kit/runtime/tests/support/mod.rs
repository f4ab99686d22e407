//! What all tests of the process share.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and a helper that fails has failed its test"
)]

pub(crate) mod client;
pub(crate) mod process;

use std::time::Duration;

/// Longer than anything may take; a test that waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
