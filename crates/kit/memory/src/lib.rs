//! How much memory a process may use and uses, by its cgroup, and whether it is time to shed load.
//!
//! The kernel kills a process that needs more than its cgroup may have. What counts there is more than the process
//! sees of itself: the sockets and what waits in them are the kernel's memory, and the cgroup's. So the kernel is
//! asked, and not a count of one's own; see `docs/decisions/memory-budget.md`.
//!
//! ```
//! use berth_kit_memory::{Budget, Limit, Pressure};
//!
//! if let Some(budget) = Budget::new(Limit::Auto) {
//!     if budget.pressure() == Pressure::Full {
//!         // Take nothing on.
//!     }
//! }
//! ```

mod budget;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod process;
mod source;

pub use budget::{Budget, Limit, Pressure};
pub use source::limit;
