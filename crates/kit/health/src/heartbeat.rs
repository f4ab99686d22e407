//! Whether the workers run: a thread that serves nobody beats once a second, and each worker notes at which beat it
//! last ran. One that is many beats behind is stuck: a handler blocks its thread.
//!
//! Beats are counted, not time: while the whole process stands still (SIGSTOP, a machine that sleeps, no CPU for it)
//! there are none, so nobody falls behind.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use actix_rt::time::sleep;
use berth_kit_http::duration::compact;
use futures_util::FutureExt as _;

use crate::health::{Health, Phase};

/// The time from one beat to the next, and how often a worker notes that it runs.
const BEAT: Duration = Duration::from_secs(1);

/// A worker that has not run for so many beats is stuck. Overload, or a quota of CPU that is used up, delays one by a
/// second or so, and a restart helps against neither; half a minute is a handler that does not come back.
const STUCK: u64 = 30;

impl Health {
    /// From now on `/health` is 503 where the worker of this thread has not run for 30 seconds, until it runs again, or
    /// ends. To be called in each worker; once more, it changes nothing.
    ///
    /// # Panics
    ///
    /// On a thread without a runtime of actix.
    pub fn watch_worker(self: &Arc<Self>) {
        let Some(ran) = self.heartbeat.join() else {
            return;
        };
        let health = Arc::clone(self);
        actix_rt::spawn(
            async move {
                loop {
                    health.heartbeat.runs(&ran);
                    sleep(BEAT).await;
                }
            }
            .boxed_local(),
        );
    }

    /// Counts a second that the process has run.
    pub fn beat(&self) {
        self.heartbeat.beat();
    }

    /// Counts the seconds that the process runs, and logs when workers are stuck, and when they run again. For a thread
    /// that serves nobody.
    pub async fn keep_beating(self: Arc<Self>) {
        let mut known = 0;
        loop {
            sleep(BEAT).await;
            self.beat();
            let stuck = self.stuck();
            let workers = stuck.map_or(0, |stuck| stuck.workers);
            if workers == known || self.phase() != Phase::Ready {
                continue;
            }
            known = workers;
            match stuck {
                Some(stuck) => log::error!("{stuck}; /health is 503 until all of them run"),
                None => log::info!("all workers run again"),
            }
        }
    }

    /// The workers that are stuck. None but while it serves: a stop has its own limit.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        let is_serving = self.phase() == Phase::Ready;
        is_serving.then(|| self.heartbeat.stuck()).flatten()
    }
}

/// The beats of the process, and who has kept up with them.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    beats: AtomicU64,
    workers: Mutex<Vec<Worker>>,
}

/// A worker, as long as it has what it notes its beats in.
#[derive(Debug)]
struct Worker {
    thread: ThreadId,
    ran: Weak<AtomicU64>,
}

impl Heartbeat {
    /// Another [`BEAT`] is over.
    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Where the worker of this thread is to note that it runs; `None` where it has been told before. It is forgotten
    /// once it has dropped that.
    fn join(&self) -> Option<Arc<AtomicU64>> {
        let thread = thread::current().id();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.ran.strong_count() > 0);
        if workers.iter().any(|worker| worker.thread == thread) {
            return None;
        }
        let ran = Arc::new(AtomicU64::new(self.beats.load(Ordering::Relaxed)));
        workers.push(Worker {
            thread,
            ran: Arc::downgrade(&ran),
        });
        Some(ran)
    }

    /// The worker that notes it there runs.
    fn runs(&self, ran: &AtomicU64) {
        ran.store(self.beats.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The workers that are stuck, if any.
    fn stuck(&self) -> Option<Stuck> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let running = workers.iter().filter_map(|worker| worker.ran.upgrade());
        let ran: Vec<u64> = running.map(|ran| ran.load(Ordering::Relaxed)).collect();
        let now = self.beats.load(Ordering::Relaxed);
        let behind = ran.iter().map(|ran| now.saturating_sub(*ran));
        let stuck: Vec<u64> = behind.filter(|beats| *beats >= STUCK).collect();
        let longest = stuck.iter().max()?;
        Some(Stuck {
            workers: stuck.len(),
            of: ran.len(),
            longest: BEAT.saturating_mul(u32::try_from(*longest).unwrap_or(u32::MAX)),
        })
    }
}

/// Workers that have not run for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stuck {
    workers: usize,
    of: usize,
    /// For how long the longest has not run.
    longest: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workers,
            of,
            longest,
        } = *self;
        write!(
            f,
            "stuck: {workers} of {of} workers, for {}; a handler blocks its thread",
            compact(longest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker of a thread of its own, as it would note that it runs.
    fn worker(heartbeat: &Heartbeat) -> Arc<AtomicU64> {
        thread::scope(|scope| scope.spawn(|| heartbeat.join()).join())
            .unwrap()
            .unwrap()
    }

    fn beat(heartbeat: &Heartbeat, times: u64) {
        for _ in 0..times {
            heartbeat.beat();
        }
    }

    fn told(heartbeat: &Heartbeat) -> Option<String> {
        heartbeat.stuck().map(|stuck| stuck.to_string())
    }

    #[test]
    fn a_worker_that_does_not_run_is_stuck_until_it_does() {
        let heartbeat = Heartbeat::default();
        beat(&heartbeat, 100);
        let (one, other) = (worker(&heartbeat), worker(&heartbeat));
        beat(&heartbeat, STUCK - 1);
        assert_eq!(told(&heartbeat), None);
        heartbeat.runs(&other);
        beat(&heartbeat, 1);
        let text = "stuck: 1 of 2 workers, for 30s; a handler blocks its thread";
        assert_eq!(told(&heartbeat).as_deref(), Some(text));
        beat(&heartbeat, STUCK);
        let text = "stuck: 2 of 2 workers, for 1m; a handler blocks its thread";
        assert_eq!(told(&heartbeat).as_deref(), Some(text));
        heartbeat.runs(&one);
        heartbeat.runs(&other);
        assert_eq!(told(&heartbeat), None);
    }

    #[test]
    fn a_worker_that_has_ended_is_none_that_is_stuck() {
        let heartbeat = Heartbeat::default();
        let (one, other) = (worker(&heartbeat), worker(&heartbeat));
        drop(one);
        beat(&heartbeat, STUCK - 1);
        heartbeat.runs(&other);
        beat(&heartbeat, 1);
        assert_eq!(told(&heartbeat), None);
        // Nor is one that has taken its place.
        let _next = worker(&heartbeat);
        assert_eq!(told(&heartbeat), None);
    }

    #[test]
    fn nobody_is_stuck_before_the_start_and_in_the_stop() {
        let health = Health::new(Vec::new());
        let _worker = worker(&health.heartbeat);
        beat(&health.heartbeat, STUCK);
        assert_eq!(health.stuck(), None);
        health.started();
        assert!(health.stuck().is_some());
        assert!(!health.is_ready());
        health.shutting_down();
        assert_eq!(health.stuck(), None);
    }

    #[test]
    fn a_worker_of_several_listeners_is_one() {
        let heartbeat = Heartbeat::default();
        let ran = heartbeat.join();
        assert!(ran.is_some());
        assert!(heartbeat.join().is_none());
        beat(&heartbeat, STUCK);
        let text = "stuck: 1 of 1 workers, for 30s; a handler blocks its thread";
        assert_eq!(told(&heartbeat).as_deref(), Some(text));
    }
}
