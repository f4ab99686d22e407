//! What the service needs to be ready: checks that run in the background, and what is known of
//! them. A probe reads what is known and never waits for anything.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use utoipa::ToSchema;

/// A result that is older than so many intervals says nothing any more.
const STALE_AFTER_INTERVALS: u32 = 3;

/// Why a check has failed: for the log, not for the body of `/ready`, which anyone can read.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What a check gives back.
pub type Attempt<'a> = Pin<Box<dyn Future<Output = Result<(), Cause>> + 'a>>;

/// Asks whether something that the service needs is there.
///
/// One attempt runs at a time, on a thread that serves no requests. It is dropped when it takes
/// longer than its [`Dependency`] allows, so a connection that is to be kept for the next attempt
/// is put back only at its end.
///
/// An `async` closure without parameters is one, and all that most services need; see [`Dependency`].
pub trait Check: Send + 'static {
    /// Makes one attempt.
    fn check(&mut self) -> Attempt<'_>;
}

impl<F> Check for F
where
    F: AsyncFnMut() -> anyhow::Result<()> + Send + 'static,
{
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async { Ok(self().await?) })
    }
}

/// A check of something that it keeps.
struct CheckOf<S, F> {
    state: S,
    check: F,
}

impl<S, F> Check for CheckOf<S, F>
where
    S: Send + 'static,
    F: AsyncFnMut(&S) -> anyhow::Result<()> + Send + 'static,
{
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async { Ok((self.check)(&self.state).await?) })
    }
}

/// Something that the service needs.
pub struct Dependency {
    /// What it is, and how often and how strictly it is looked at.
    pub policy: CheckPolicy,
    /// How to look.
    pub check: Box<dyn Check>,
}

impl Dependency {
    /// A required dependency that is checked every 10 seconds, for at most 2; three failures in a
    /// row make it failed, one success makes it good again. Change its `policy` for others.
    ///
    /// `name` is what `/ready`, the metrics and the log call it. `check` asks it:
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// use anyhow::ensure;
    /// use berth_kit_health::Dependency;
    ///
    /// static CACHE_IS_WARM: AtomicBool = AtomicBool::new(false);
    ///
    /// let cache = Dependency::new("cache", async || {
    ///     ensure!(CACHE_IS_WARM.load(Ordering::Relaxed), "still being filled");
    ///     Ok(())
    /// });
    /// ```
    ///
    /// Its error is the one of all that a service gives to the kit, whose `?` takes every other; were it any type that
    /// converts, `Ok(())` after a `?` would have to say which.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        check: impl AsyncFnMut() -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self::checked_by(name, check)
    }

    /// As [`new`](Self::new), of something that each attempt gets lent, such as a pool of connections:
    ///
    /// ```
    /// use berth_kit_health::Dependency;
    ///
    /// #[derive(Clone)]
    /// struct Pool;
    ///
    /// impl Pool {
    ///     async fn ping(&self) -> Result<(), std::io::Error> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let pool = Pool;
    /// let database = Dependency::with("database", pool.clone(), async |pool| Ok(pool.ping().await?));
    /// ```
    ///
    /// An `async fn ping(pool: &Pool) -> anyhow::Result<()>` is a check by its name.
    #[must_use]
    pub fn with<S: Send + 'static>(
        name: impl Into<String>,
        state: S,
        check: impl AsyncFnMut(&S) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self::checked_by(name, CheckOf { state, check })
    }

    /// As [`new`](Self::new), by a [`Check`] of a type of its own.
    #[must_use]
    pub fn checked_by(name: impl Into<String>, check: impl Check) -> Self {
        Self {
            policy: CheckPolicy {
                name: name.into(),
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(2),
                failure_threshold: 3,
                success_threshold: 1,
                required: true,
            },
            check: Box::new(check),
        }
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// How a dependency is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckPolicy {
    /// What it is called.
    pub name: String,
    /// From the start of one attempt to that of the next, at most.
    pub interval: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// So many failures in a row make it failed.
    pub failure_threshold: u32,
    /// So many successes in a row make it good again. The very first needs one.
    pub success_threshold: u32,
    /// Whether the service is not ready without it; else it is only degraded.
    pub required: bool,
}

/// What is known of one dependency. Its check reports to it, the probes read it.
#[derive(Debug)]
pub struct CheckState {
    policy: CheckPolicy,
    /// It was added to a service that was serving without it.
    late: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: Status,
    since: SystemTime,
    /// Results in a row that speak against `status`.
    against: u32,
    ever_passed: bool,
    last: Option<(Instant, Duration)>,
    /// When there was last a reason to take `status` for true.
    fresh: Instant,
}

/// Whether a dependency is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CheckStatus)]
pub enum Status {
    /// Nothing is known yet.
    Pending,
    /// It is there.
    Ok,
    /// It is not, or nothing has been heard of it for too long.
    Failed,
}

/// What was known of a dependency at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether it is there.
    pub status: Status,
    /// Since when that is so.
    pub since: SystemTime,
    /// How long ago the last attempt ended, and how long it took.
    pub last: Option<(Duration, Duration)>,
}

impl CheckState {
    /// A dependency of which nothing is known yet.
    #[must_use]
    pub fn new(policy: CheckPolicy) -> Arc<Self> {
        Arc::new(Self {
            policy,
            late: false,
            state: Mutex::new(State::pending()),
        })
    }

    /// A dependency that is added to a service that serves already: as long as nothing is known of
    /// it, it takes no readiness away.
    #[must_use]
    pub fn late(policy: CheckPolicy) -> Arc<Self> {
        Arc::new(Self {
            policy,
            late: true,
            state: Mutex::new(State::pending()),
        })
    }

    /// The same dependency on other policy. What is known of it stays until there is news.
    #[must_use]
    pub fn with_policy(&self, policy: CheckPolicy) -> Arc<Self> {
        let state = self.state();
        Arc::new(Self {
            policy,
            late: self.late,
            state: Mutex::new(State {
                status: state.status,
                since: state.since,
                ever_passed: state.ever_passed,
                ..State::pending()
            }),
        })
    }

    /// Whether the service has to do without it, by what is `known` of it.
    #[must_use]
    pub fn is_missing(&self, snapshot: &Snapshot) -> bool {
        match snapshot.status {
            Status::Ok => false,
            Status::Pending => !self.late,
            Status::Failed => true,
        }
    }

    /// How it is looked at.
    #[must_use]
    pub fn policy(&self) -> &CheckPolicy {
        &self.policy
    }

    /// Takes the result of an attempt that took so long; returns the new status if it has changed.
    pub fn report(&self, passed: bool, took: Duration) -> Option<Status> {
        let mut state = self.state();
        state.fresh = Instant::now();
        state.last = Some((state.fresh, took));
        let (next, needed) = if passed {
            let needed = if state.ever_passed {
                self.policy.success_threshold
            } else {
                1
            };
            (Status::Ok, needed)
        } else {
            // Before the first success there is nothing to be patient about.
            let patient = state.status == Status::Ok;
            (
                Status::Failed,
                if patient {
                    self.policy.failure_threshold
                } else {
                    1
                },
            )
        };
        state.ever_passed |= passed;
        if next == state.status {
            state.against = 0;
            return None;
        }
        state.against += 1;
        if state.against < needed {
            return None;
        }
        state.against = 0;
        state.status = next;
        state.since = SystemTime::now();
        Some(next)
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let last = state.last.map(|(at, took)| (at.elapsed(), took));
        let limit = self.policy.interval * STALE_AFTER_INTERVALS;
        // Its thread is stuck, or the machine was asleep.
        let overdue = state.fresh.elapsed().checked_sub(limit);
        match overdue {
            Some(overdue) if state.status == Status::Ok => Snapshot {
                status: Status::Failed,
                since: SystemTime::now() - overdue,
                last,
            },
            _ => Snapshot {
                status: state.status,
                since: state.since,
                last,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere cannot spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pending() -> Self {
        Self {
            status: Status::Pending,
            since: SystemTime::now(),
            against: 0,
            ever_passed: false,
            last: None,
            fresh: Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests;
