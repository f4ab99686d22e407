//! A time limit that may change while requests run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A time limit that all workers share. A change holds for the requests that come after it.
#[derive(Debug, Clone)]
pub struct Timeout(Arc<AtomicU64>);

impl Timeout {
    /// A limit of `limit`, in whole microseconds.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(micros(limit))))
    }

    /// The limit now.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Changes the limit, here and in every clone.
    pub fn set(&self, limit: Duration) {
        self.0.store(micros(limit), Ordering::Relaxed);
    }
}

fn micros(limit: Duration) -> u64 {
    u64::try_from(limit.as_micros()).unwrap_or(u64::MAX)
}
