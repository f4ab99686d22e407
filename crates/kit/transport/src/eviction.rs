//! Which connections make room for others, where there is no more.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_rt::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

use crate::{events::Eviction, stream::activity::Phase};

/// How long a client may take for its first request, where its connection is wanted by others.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a client may take to read its last answer before the connection is closed for others.
const CLOSING_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a client may keep us waiting for anything else, where memory is short.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct Connections {
    open: RefCell<BTreeMap<u64, Rc<Place>>>,
    next: Cell<u64>,
}

/// What a connection waits for, since when, and whether it has to go.
pub(crate) struct Place {
    pub(crate) phase: Cell<Phase>,
    pub(crate) since: Cell<Instant>,
    evicted: Cell<Option<Eviction>>,
    waker: RefCell<Option<Waker>>,
}

/// Which connections may be closed for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expendable {
    /// Those that have had an answer and are without a request, or have had their last one; then those whose first
    /// request does not come.
    Idle,
    /// Those whose client keeps us waiting, too, once the idle ones are gone.
    Waiting,
}

impl Place {
    /// Something else is waited for from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Ready when it has to go.
    pub(crate) async fn evicted(&self) -> Eviction {
        poll_fn(|cx| self.is_evicted(cx).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Whether it has to go. Asked with each poll, so that it is woken when it has.
    pub(crate) fn is_evicted(&self, cx: &Context<'_>) -> Option<Eviction> {
        let evicted = self.evicted.take();
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        evicted
    }

    /// The order in which they go; None: it stays.
    fn rank(&self, expendable: Expendable) -> Option<(bool, Instant)> {
        let since = self.since.get();
        match self.phase.get() {
            Phase::Answering => None,
            Phase::Idle(_) => Some((false, since)),
            Phase::Closing => (since.elapsed() >= CLOSING_TIMEOUT).then_some((false, since)),
            phase => {
                let timeout = match (phase, expendable) {
                    (Phase::FirstHead, _) => FIRST_REQUEST_TIMEOUT,
                    (_, Expendable::Waiting) => CLIENT_TIMEOUT,
                    (_, Expendable::Idle) => return None,
                };
                (since.elapsed() >= timeout).then_some((true, since))
            }
        }
    }

    fn evict(&self, reason: Eviction) {
        self.evicted.set(Some(reason));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Connections {
    pub(crate) fn enter(self: &Rc<Self>, taken: Option<OwnedSemaphorePermit>) -> Entered {
        let number = self.next.replace(self.next.get() + 1);
        let place = Rc::new(Place {
            phase: Cell::new(Phase::Answering),
            since: Cell::new(Instant::now()),
            evicted: Cell::default(),
            waker: RefCell::default(),
        });
        self.open.borrow_mut().insert(number, Rc::clone(&place));
        Entered {
            place,
            number,
            connections: Rc::clone(self),
            _taken: taken,
        }
    }

    /// Has one closed, for another: the one that has waited longest. Of thousands a few more, since each look at them
    /// takes its time.
    pub(crate) fn make_room(&self) {
        let some = self.open.borrow().len().div_ceil(256);
        self.evict(some, Expendable::Idle, Eviction::Connections);
    }

    /// Has so many connections closed at most: those that have waited longest.
    pub(crate) fn evict(&self, most: usize, expendable: Expendable, reason: Eviction) {
        let open = self.open.borrow();
        let mut ranked: Vec<_> = open
            .values()
            .filter(|place| place.evicted.get().is_none())
            .filter_map(|place| Some((place.rank(expendable)?, place)))
            .collect();
        if most < ranked.len() {
            ranked.select_nth_unstable_by_key(most, |(rank, _)| *rank);
        }
        for (_, place) in ranked.into_iter().take(most) {
            place.evict(reason);
        }
    }
}

/// A connection among the others, until this is dropped.
pub(crate) struct Entered {
    pub(crate) place: Rc<Place>,
    number: u64,
    connections: Rc<Connections>,
    /// The place that others have to wait for.
    _taken: Option<OwnedSemaphorePermit>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// Of each phase, the time that it has lasted; which ones have to go, by their places in the row.
    fn evicted(row: &[(Phase, Duration)], most: usize, expendable: Expendable) -> Vec<usize> {
        let connections = Rc::<Connections>::default();
        let now = Instant::now();
        let entered: Vec<_> = row
            .iter()
            .map(|(phase, age)| {
                let entered = connections.enter(None);
                entered.place.phase.set(*phase);
                entered.place.since.set(now.checked_sub(*age).unwrap());
                entered
            })
            .collect();
        connections.evict(most, expendable, Eviction::Memory);
        let cx = Context::from_waker(Waker::noop());
        let all = entered.iter().enumerate();
        all.filter_map(|(at, entered)| entered.place.is_evicted(&cx).map(|_| at))
            .collect()
    }

    #[test]
    fn who_has_been_idle_longest_goes_first() {
        let row = [1, 3, 2, 0].map(|age| (Phase::Idle(1), Duration::from_secs(age)));
        assert_eq!(evicted(&row, 2, Expendable::Idle), [1, 2]);
        assert_eq!(evicted(&row, 9, Expendable::Idle), [0, 1, 2, 3]);
    }

    #[test]
    fn who_is_being_answered_stays() {
        let row = [(Phase::Answering, LONG), (Phase::Idle(1), Duration::ZERO)];
        assert_eq!(evicted(&row, 9, Expendable::Waiting), [1]);
    }

    #[test]
    fn who_keeps_us_waiting_goes_after_the_idle_ones_and_not_at_once() {
        let row = [
            (Phase::FirstHead, LONG),
            (Phase::Unread(7), LONG * 2),
            (Phase::Head(1), Duration::ZERO),
            (Phase::Idle(3), Duration::ZERO),
        ];
        assert_eq!(evicted(&row, 9, Expendable::Idle), [0, 3]);
        assert_eq!(evicted(&row, 1, Expendable::Idle), [3]);
        assert_eq!(evicted(&row, 2, Expendable::Waiting), [1, 3]);
        assert_eq!(evicted(&row, 9, Expendable::Waiting), [0, 1, 3]);
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let connections = Rc::<Connections>::default();
        let (first, second) = (connections.enter(None), connections.enter(None));
        drop(first);
        assert_eq!(connections.open.borrow().len(), 1);
        drop(second);
        assert_eq!(connections.open.borrow().len(), 0);
    }
}
