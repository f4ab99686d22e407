//! What one worker has counted.
//!
//! Each worker counts in memory of its own, and a scrape adds it all up. So a request pays for a few
//! plain additions, where counters that all workers share would cost it a locked instruction each,
//! and the wait for the cache line that another core has just written.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Upper bounds of the duration histogram, in nanoseconds.
pub(crate) const BOUNDS: [u64; 14] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// A number that one thread counts and any thread may read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Counts on. Only the thread that it belongs to may: nobody else's addition comes between the
    /// load and the store, so neither needs to be more than that.
    pub(crate) fn add(&self, more: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one worker, of which there are as many as pairs of a route and a method.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) begun: Count,
    pub(crate) ended: Count,
    series: Box<[OnceLock<Box<Series>>]>,
}

impl Shard {
    pub(crate) fn new(pairs: usize) -> Self {
        Self {
            begun: Count::default(),
            ended: Count::default(),
            series: std::iter::repeat_with(OnceLock::new).take(pairs).collect(),
        }
    }

    /// The counts of a pair, made where there are none yet.
    pub(crate) fn series(&self, pair: usize) -> &Series {
        self.series[pair].get_or_init(Box::default)
    }

    /// The counts of a pair that this worker has met.
    pub(crate) fn known(&self, pair: usize) -> Option<&Series> {
        Some(self.series[pair].get()?)
    }
}

/// The requests of one route and method.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// By duration; the last is of those over every bound.
    buckets: [Count; BOUNDS.len() + 1],
    nanoseconds: Count,
    /// By status.
    statuses: Mutex<Vec<(u16, Arc<Count>)>>,
}

impl Series {
    pub(crate) fn observe(&self, nanoseconds: u64) {
        // From the front: most requests are fast.
        let bucket = BOUNDS
            .iter()
            .position(|bound| nanoseconds <= *bound)
            .unwrap_or(BOUNDS.len());
        self.buckets[bucket].add(1);
        self.nanoseconds.add(nanoseconds);
    }

    /// The count of those with this status, to keep: looking it up takes a lock.
    pub(crate) fn status(&self, status: u16) -> Arc<Count> {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = statuses.iter().find(|(known, _)| *known == status) {
            return Arc::clone(count);
        }
        let count = Arc::new(Count::default());
        statuses.push((status, Arc::clone(&count)));
        count
    }
}

/// The requests of one route and method, of all workers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// By duration, each without those below it.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) nanoseconds: u64,
    /// By status, each once.
    pub(crate) statuses: Vec<(u16, u64)>,
}

impl Total {
    pub(crate) fn add(&mut self, series: &Series) {
        for (sum, count) in self.buckets.iter_mut().zip(&series.buckets) {
            *sum += count.get();
        }
        self.nanoseconds += series.nanoseconds.get();
        let statuses = series
            .statuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (status, count) in statuses.iter() {
            match self.statuses.iter_mut().find(|(known, _)| known == status) {
                Some((_, sum)) => *sum += count.get(),
                None => self.statuses.push((*status, count.get())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_count_adds_up() {
        let (one, other) = (Shard::new(2), Shard::new(2));
        for nanoseconds in [0, 500_000, 500_001] {
            one.series(1).observe(nanoseconds);
            one.series(1).status(200).add(1);
        }
        other.series(1).observe(u64::MAX / 2);
        other.series(1).status(503).add(1);
        other.series(1).status(200).add(1);
        let mut total = Total::default();
        for shard in [&one, &other] {
            assert!(shard.known(0).is_none());
            total.add(shard.known(1).unwrap());
        }
        assert_eq!(total.buckets[..3], [2, 1, 0]);
        assert_eq!(total.buckets[BOUNDS.len()], 1);
        assert_eq!(total.nanoseconds, 1_000_001 + u64::MAX / 2);
        assert_eq!(total.statuses, [(200, 4), (503, 1)]);
    }
}
