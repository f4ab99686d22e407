//! Whether it is time to shed load.

use std::{
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Instant,
};

use tokio::sync::Notify;

use crate::source::Source;

/// For how long an answer holds, in milliseconds.
const HOLDS: u64 = 1;

/// The most that is kept back of a limit, in bytes: what comes between two looks, and what the kernel itself needs.
const MOST_RESERVE: u64 = 128 << 20;

/// How often it is logged at most, in milliseconds.
const LOG_AGAIN: u64 = 10_000;

/// How much memory a process may use before it sheds load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// What its cgroup allows, less a quarter and at most 128 MiB. Without a cgroup's limit there is none.
    Auto,
    /// In bytes, but never more than [`Auto`](Self::Auto) would allow.
    Bytes(u64),
}

/// How near a process is to the end of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    /// There is enough.
    None,
    /// Seven eighths are used: nothing large is taken on, and what is idle goes.
    High,
    /// All is used: nothing is taken on.
    Full,
}

/// How much memory the process may use, and whether it uses it.
pub struct Budget {
    limit: Limit,
    source: Source,
    start: Instant,
    /// When it was looked last, in milliseconds since `start`.
    looked: AtomicU64,
    pressure: AtomicU8,
    /// How much is to be freed, in bytes, as it was looked last.
    excess: AtomicU64,
    risen: Notify,
    /// When each was logged last, in milliseconds since `start` and one more; 0: never.
    logged: [AtomicU64; 2],
}

impl Budget {
    /// None where there is nothing to hold to, or the system does not tell what is used.
    #[must_use]
    pub fn new(limit: Limit) -> Option<Self> {
        Self::of(limit, Source::new()?)
    }

    fn of(limit: Limit, source: Source) -> Option<Self> {
        let budget = Self {
            limit,
            source,
            start: Instant::now(),
            looked: AtomicU64::new(0),
            pressure: AtomicU8::new(Pressure::None as u8),
            excess: AtomicU64::new(0),
            risen: Notify::new(),
            logged: [AtomicU64::new(0), AtomicU64::new(0)],
        };
        budget.bytes()?;
        Some(budget)
    }

    /// How much may be used, in bytes; None where a limit has been lifted.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let auto = self.source.limit().map(|limit| {
            let reserve = (limit / 4).min(MOST_RESERVE);
            limit - reserve
        });
        match (self.limit, auto) {
            (Limit::Auto, auto) => auto,
            (Limit::Bytes(bytes), Some(auto)) => Some(bytes.min(auto)),
            (Limit::Bytes(bytes), None) => Some(bytes),
        }
    }

    /// How near the process is to its end, at most 1 ms ago. Costs a look at the clock where somebody has just asked,
    /// and some µs else.
    pub fn pressure(&self) -> Pressure {
        let now = self.millis();
        let looked = self.looked.load(Ordering::Relaxed);
        if now >= looked + HOLDS
            && self
                .looked
                .compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.look(now);
        }
        self.last()
    }

    /// How near the process is to its end now. Costs 1 µs, so it is for who is about to take a large piece of memory.
    pub fn pressure_now(&self) -> Pressure {
        let now = self.millis();
        self.looked.store(now, Ordering::Relaxed);
        self.look(now);
        self.last()
    }

    fn last(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::None,
            1 => Pressure::High,
            _ => Pressure::Full,
        }
    }

    /// How much is to be freed until there is no pressure, in bytes.
    pub fn excess(&self) -> u64 {
        self.excess.load(Ordering::Relaxed)
    }

    /// Waits until pressure rises, from whatever it was when this was called.
    pub fn rises(&self) -> impl Future<Output = ()> {
        self.risen.notified()
    }

    fn look(&self, now: u64) {
        let (pressure, used, budget) = match (self.bytes(), self.source.usage()) {
            (Some(budget), Some(usage)) => {
                let high = budget - budget / 8;
                // Cheap before dear.
                let mut used = usage;
                if used >= high {
                    used = used.saturating_sub(self.source.droppable());
                }
                let pressure = match used {
                    used if used >= budget => Pressure::Full,
                    used if used >= high => Pressure::High,
                    _ => Pressure::None,
                };
                self.excess
                    .store(used.saturating_sub(high), Ordering::Relaxed);
                (pressure, used, budget)
            }
            _ => (Pressure::None, 0, 0),
        };
        let before = self.pressure.swap(pressure as u8, Ordering::Relaxed);
        if pressure as u8 > before {
            self.risen.notify_waiters();
        }
        match pressure {
            Pressure::None => {}
            Pressure::High => self.log(0, now, used, budget),
            Pressure::Full => self.log(1, now, used, budget),
        }
    }

    fn log(&self, which: usize, now: u64, used: u64, budget: u64) {
        const WHAT: [&str; 2] = [
            "large requests are refused with 503, and idle connections closed",
            "requests are refused with 503, and connections closed",
        ];
        let logged = &self.logged[which];
        let before = logged.load(Ordering::Relaxed);
        if before != 0 && now + 1 < before + LOG_AGAIN {
            return;
        }
        logged.store(now + 1, Ordering::Relaxed);
        let (used, budget) = (used >> 20, budget >> 20);
        log::warn!(
            "{used} MiB of the {budget} MiB of memory that may be used are: {}",
            WHAT[which]
        );
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, Mutex},
        task::{Context, Waker},
    };

    use super::*;

    type Figures = Arc<Mutex<[u64; 3]>>;

    /// By the limit, what is used, and what of that can be dropped.
    fn budget(limit: Limit) -> (Budget, Figures) {
        let figures = Figures::new(Mutex::new([64 << 20, 0, 0]));
        let source = Source::Test(Arc::clone(&figures));
        (Budget::of(limit, source).unwrap(), figures)
    }

    fn pressure(budget: &Budget, figures: &Figures, used: u64, droppable: u64) -> Pressure {
        *figures.lock().unwrap() = [64 << 20, used << 20, droppable << 20];
        budget.look(0);
        budget.pressure()
    }

    #[test]
    fn a_quarter_is_kept_back_and_of_a_large_limit_less() {
        let (budget, figures) = budget(Limit::Auto);
        assert_eq!(budget.bytes(), Some(48 << 20));
        figures.lock().unwrap()[0] = 4 << 30;
        assert_eq!(budget.bytes(), Some((4 << 30) - MOST_RESERVE));
    }

    #[test]
    fn what_somebody_sets_counts_as_far_as_the_system_allows_it() {
        assert_eq!(budget(Limit::Bytes(1000)).0.bytes(), Some(1000));
        let (too_much, _) = budget(Limit::Bytes(1 << 40));
        assert_eq!(too_much.bytes(), Some(48 << 20));
    }

    #[test]
    fn pressure_rises_and_falls_with_what_is_used() {
        let (budget, figures) = budget(Limit::Auto);
        for (used, expected) in [
            (0, Pressure::None),
            (41, Pressure::None),
            (42, Pressure::High),
            (47, Pressure::High),
            (48, Pressure::Full),
            (64, Pressure::Full),
            (42, Pressure::High),
            (41, Pressure::None),
        ] {
            assert_eq!(pressure(&budget, &figures, used, 0), expected, "{used}");
        }
    }

    #[test]
    fn what_the_kernel_drops_is_free() {
        let (budget, figures) = budget(Limit::Auto);
        assert_eq!(pressure(&budget, &figures, 60, 20), Pressure::None);
        assert_eq!(pressure(&budget, &figures, 60, 15), Pressure::High);
        assert_eq!(pressure(&budget, &figures, 60, 12), Pressure::Full);
    }

    #[test]
    fn what_is_too_much_is_told() {
        let (budget, figures) = budget(Limit::Auto);
        assert_eq!(pressure(&budget, &figures, 40, 0), Pressure::None);
        assert_eq!(budget.excess(), 0);
        let mut rises = pin!(budget.rises());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(rises.as_mut().poll(&mut cx).is_pending());
        assert_eq!(pressure(&budget, &figures, 50, 0), Pressure::Full);
        assert_eq!(budget.excess(), 8 << 20);
        assert!(rises.as_mut().poll(&mut cx).is_ready());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_limit_and_can_be_held_to_one() {
        let limit = crate::limit().unwrap();
        assert!(limit > 1 << 20, "{limit}");
        let tiny = Budget::new(Limit::Bytes(1)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5 * HOLDS));
        assert_eq!(tiny.pressure(), Pressure::Full);
        let ample = Budget::new(Limit::Bytes(1 << 50)).unwrap();
        assert!(ample.bytes().is_some());
    }
}
