//! Liveness and readiness.
//!
//! [`Health`] is the state behind `/health` and `/ready`: where the process is in its lifecycle, and what is
//! known of what it needs. Checks run in the background, see [`Checks`]; a probe reads what is known and never
//! waits for anything. `/health` knows nothing of them: a restart helps against nobody else's outage. It knows whether
//! the workers run, see [`Health::watch_worker`]: asked on a port with a worker of its own, it would always be well.
//!
//! This crate knows no metric's exposition and no lifecycle: `berth-kit` tells it when the service has started and
//! when it stops, and a service gives its dependencies to `Runtime::readiness`.
//!
//! ```
//! use berth_kit_health::{Checks, Dependency, Health};
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let warehouse = Dependency::new("warehouse", async || {
//!     // Ask it; an error says why it is missing.
//!     Ok(())
//! });
//! let checks = Checks::start(&[], vec![warehouse])?;
//! let health = Health::new(checks.watched());
//! assert!(!health.is_ready());
//! // Ready once the service has been built, and the check has passed for the first time.
//! health.started();
//! while !health.is_ready() {
//!     actix_web::rt::task::yield_now().await;
//! }
//! health.shutting_down();
//! assert!(!health.is_ready());
//! # Ok(())
//! # }
//! ```

mod checks;
mod error;
pub mod health;
mod heartbeat;
mod probers;
pub mod readiness;

pub use checks::{CheckMetrics, Checks};
pub use error::CheckError;
pub use health::{Health, Phase};
pub use readiness::Dependency;
