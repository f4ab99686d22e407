//! What the workers of a process have in common: when they learn what is usual.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How often what is usual is learned anew where requests are refused.
const LEARN_EVERY: Duration = Duration::from_secs(10);

/// How long that may take.
pub(super) const LEARN: Duration = Duration::from_secs(1);

/// How many requests of each worker are enough for it.
const LEARNED: usize = 3;

/// The adaptive limits of all workers of a process.
#[derive(Debug)]
pub struct AdaptiveLimits {
    pub(super) workers: AtomicUsize,
    pub(super) in_flight: AtomicUsize,
    pub(super) limit: AtomicUsize,
    /// When it was begun last to learn what is usual, in milliseconds, and how many requests have been alone since.
    learning: AtomicU64,
    pub(super) learned: AtomicUsize,
    since: Instant,
}

impl AdaptiveLimits {
    pub(crate) fn new(since: Instant) -> Self {
        Self {
            workers: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            learning: AtomicU64::new(0),
            learned: AtomicUsize::new(0),
            since,
        }
    }

    /// How many requests they take on now, together.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether the limit of each is one for now, so that it is learned what is usual. It is so for all at once, for the
    /// requests of one worker wait for those of another, too. It begins where a request `is_refused`, and sooner where
    /// it `is_unknown` what is usual for it.
    pub(super) fn is_to_learn(&self, is_refused: bool, is_unknown: bool, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.since).as_millis();
        // From one on: 0 is never.
        let now = u64::try_from(now).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.learning.load(Ordering::Relaxed);
        let since = Duration::from_millis(now.saturating_sub(last));
        if last > 0 && since < LEARN {
            let enough = LEARNED * self.workers.load(Ordering::Relaxed);
            return self.learned.load(Ordering::Relaxed) < enough;
        }
        let is_due = since >= LEARN_EVERY || is_unknown && (last == 0 || since >= 2 * LEARN);
        if is_refused && is_due {
            self.learned.store(0, Ordering::Relaxed);
            self.learning.store(now, Ordering::Relaxed);
        }
        is_refused && is_due
    }
}
