//! Liveness and readiness.
//!
//! [`Health`] is the state behind `/health` and `/ready`: where the process is in its lifecycle, and what is
//! known of what it needs. Checks run in the background, see [`Checks`]; a probe reads what is known and never
//! waits for anything. `/health` knows nothing of them: a restart helps against nobody else's outage.

mod checks;
mod error;
pub mod health;
mod probers;
pub mod readiness;

pub use checks::{CheckMetrics, Checks};
pub use error::CheckError;
pub use health::{Health, Phase};
pub use readiness::Dependency;
