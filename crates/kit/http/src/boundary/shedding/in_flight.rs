//! The requests that are in flight.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::adaptive::{AdaptiveLimit, Taken};
use crate::table::RouteId;

/// As many as this of all workers together.
#[derive(Debug)]
pub(super) struct FixedLimit {
    max: usize,
    now: AtomicUsize,
}

impl FixedLimit {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            now: AtomicUsize::new(0),
        }
    }

    /// Takes a request on; `None` where there are too many.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        // Counted first, so that two at once are not both the last one.
        let before = self.enter();
        let admitted = Admitted::new(InFlight::Fixed {
            limit: Arc::clone(self),
            waits: false,
        });
        (before < self.max).then_some(admitted)
    }

    fn enter(&self) -> usize {
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that has been taken on. It is in flight until its answer begins or it is dropped, but not while it waits
/// for its client.
#[derive(Debug, Default)]
pub(crate) struct Admitted(
    /// In a box, so that no request has room for it where nothing is limited.
    Option<Box<InFlight>>,
);

#[derive(Debug)]
enum InFlight {
    Fixed {
        limit: Arc<FixedLimit>,
        waits: bool,
    },
    Adaptive {
        limit: Rc<AdaptiveLimit>,
        taken: Taken,
        has_waited: bool,
    },
}

impl Admitted {
    pub(super) fn adaptive(limit: &Rc<AdaptiveLimit>) -> Option<Self> {
        let taken = limit.admit(Instant::now())?;
        Some(Self::new(InFlight::Adaptive {
            limit: Rc::clone(limit),
            taken,
            has_waited: false,
        }))
    }

    fn new(in_flight: InFlight) -> Self {
        Self(Some(Box::new(in_flight)))
    }

    /// Whether there is a limit that it counts for.
    pub(crate) fn counts(&self) -> bool {
        self.0.is_some()
    }

    /// Whether others that have come to this worker have to be taken on or refused before this one is begun: once, where
    /// it has to be seen how many come at a time.
    pub(crate) fn lets_others_pass(&mut self) -> bool {
        match self.0.as_deref_mut() {
            Some(InFlight::Adaptive { has_waited, .. }) if !*has_waited => {
                *has_waited = true;
                true
            }
            Some(InFlight::Adaptive { limit, taken, .. }) => {
                limit.begin(taken, Instant::now);
                false
            }
            _ => false,
        }
    }

    /// Whether it waits for its client: for more of its body.
    pub(crate) fn waits(&mut self, is_waiting: bool) {
        match self.0.as_deref_mut() {
            Some(InFlight::Fixed { limit, waits }) if *waits != is_waiting => {
                *waits = is_waiting;
                if is_waiting {
                    limit.leave();
                } else {
                    limit.enter();
                }
            }
            Some(InFlight::Adaptive { limit, taken, .. }) => {
                if is_waiting {
                    limit.wait(taken, Instant::now());
                } else {
                    limit.go_on(taken, Instant::now());
                }
            }
            _ => {}
        }
    }

    /// It has been answered, by this route.
    pub(crate) fn answered(&mut self, route: impl FnOnce() -> RouteId) {
        if let Some(InFlight::Adaptive { limit, taken, .. }) = self.0.as_deref() {
            limit.answered(taken, route().index(), Instant::now());
        }
        *self = Self::default();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        match self.0.as_deref() {
            Some(InFlight::Fixed { limit, waits }) if !waits => limit.leave(),
            Some(InFlight::Adaptive { limit, taken, .. }) => limit.end(taken),
            _ => {}
        }
    }
}
