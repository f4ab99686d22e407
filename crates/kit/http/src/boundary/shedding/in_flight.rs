//! The requests that are in flight.
//!
//! Nothing of it is put into the code that every request passes: most services have no limit.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::adaptive::{AdaptiveLimit, Taken};
use crate::request::context::RequestContext;

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
    #[inline(never)]
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
        request: RequestContext,
        progress: Progress,
    },
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody has come to it.
    TakenOn,
    /// Others have been taken on meanwhile, or refused.
    LetOthersPass,
    /// Its handler is at it.
    Begun,
    /// Its handler has more to do.
    Paused,
}

/// When a handler is to be polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Now,
    /// When others that have come to this worker have been taken on or refused.
    Later,
}

impl Admitted {
    #[inline(never)]
    pub(super) fn adaptive(limit: &Rc<AdaptiveLimit>, request: &RequestContext) -> Option<Self> {
        let taken = limit.admit(request.route_id().index(), Instant::now())?;
        Some(Self::new(InFlight::Adaptive {
            limit: Rc::clone(limit),
            taken,
            request: request.clone(),
            progress: Progress::TakenOn,
        }))
    }

    fn new(in_flight: InFlight) -> Self {
        Self(Some(Box::new(in_flight)))
    }

    /// Whether there is a limit that it counts for.
    pub(crate) fn counts(&self) -> bool {
        self.0.is_some()
    }

    /// Its handler is about to be polled.
    #[inline(never)]
    pub(crate) fn begin(&mut self) -> Begin {
        match self.0.as_deref_mut() {
            Some(InFlight::Fixed { limit, waits }) if *waits => {
                *waits = false;
                limit.enter();
            }
            Some(InFlight::Adaptive {
                limit,
                taken,
                progress,
                ..
            }) => match progress {
                Progress::TakenOn => {
                    *progress = Progress::LetOthersPass;
                    return Begin::Later;
                }
                Progress::LetOthersPass => {
                    limit.begin(taken, Instant::now());
                    *progress = Progress::Begun;
                }
                Progress::Begun | Progress::Paused => {
                    limit.go_on(taken, Instant::now);
                    *progress = Progress::Begun;
                }
            },
            _ => {}
        }
        Begin::Now
    }

    /// Its handler has more to do, and waits for its client meanwhile, or for something else.
    #[inline(never)]
    pub(crate) fn pause(&mut self, waits_for_client: bool) {
        match self.0.as_deref_mut() {
            Some(InFlight::Fixed { limit, waits }) if waits_for_client && !*waits => {
                *waits = true;
                limit.leave();
            }
            Some(InFlight::Adaptive {
                limit,
                taken,
                progress,
                ..
            }) => {
                *progress = Progress::Paused;
                if waits_for_client {
                    limit.wait(taken, Instant::now());
                }
            }
            _ => {}
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(in_flight) = self.0.take() {
            in_flight.end();
        }
    }
}

impl InFlight {
    /// It has been answered, or its client has left.
    #[inline(never)]
    fn end(self) {
        match self {
            Self::Fixed { waits: true, .. } => {}
            Self::Fixed { limit, .. } => limit.leave(),
            Self::Adaptive {
                limit,
                taken,
                request,
                progress,
            } => {
                // Of one whose client has left it is not known how long it would have taken.
                if progress == Progress::Begun {
                    limit.answered(&taken, request.route_id().index(), Instant::now());
                }
                limit.end(&taken);
            }
        }
    }
}
