//! How many requests a worker takes on at a time, where that is found out.
//!
//! A request that is alone takes its usual time. Where those that are in flight together take much longer, they wait
//! for each other: more of them would each wait longer, and none be answered sooner. Then the limit is lowered. It is
//! raised where requests have been refused, unless the worker never rests, for that one cannot do more.
//!
//! What is usual is learned for each route from requests that are alone. Where requests are refused, each ten seconds
//! the limit is one for a moment, of all workers at once; and sooner where it is not known what is usual.

mod learning;

use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

pub use learning::AdaptiveLimits;
use learning::LEARN;

/// The limit of a worker at its start, and after a while without a refusal.
const INITIAL: f64 = 32.0;

/// How much longer than usual requests may take together.
const SLOWER: f64 = 1.3;

/// How much of the limit remains at least when it is lowered.
const LOWERED: f64 = 0.2;

/// How much it is raised by at a time, beside one.
const RAISED: f64 = 1.05;

/// From which part of the time on a worker is at work without a rest.
const BUSY: f64 = 0.9;

/// The shortest time after which the limit may change.
const WINDOW: Duration = Duration::from_millis(100);

/// How many requests, beside half the limit, have to have been compared with what is usual by then.
const SAMPLES: usize = 5;

/// After which time it may where requests are refused and none is answered, but three times as long as one takes.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);

/// For how long quick requests may wait for each other in any case, in seconds: some come at one moment.
const QUICK: f64 = 0.001;

/// The weight of one more request in an average.
const WEIGHT: f64 = 0.1;

/// The same of one that has been alone for that.
const LEARNED_WEIGHT: f64 = 0.5;

/// How much longer or shorter than usual one that is alone is taken to be at most.
const OFF: f64 = 4.0;

/// The limit of one worker.
pub(super) struct AdaptiveLimit {
    all: Arc<AdaptiveLimits>,
    /// For how long the worker has been at work, until it looked last whether something has come.
    worked: Box<dyn Fn() -> Duration>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: usize,
    /// How long a request takes on average, in seconds.
    average: f64,
    /// How long one of each route takes alone, in seconds; 0 where that is not known.
    usual: Vec<f64>,
    /// How many requests have ever been taken on.
    taken_on: u64,
    /// What `worked` has said last, and when it did first.
    worked: Duration,
    worked_since: Instant,
    window: Window,
}

/// What has been seen since the limit was last looked at.
#[derive(Debug)]
struct Window {
    began: Instant,
    busy: Duration,
    /// The most requests in flight at one moment.
    most: usize,
    has_refused: bool,
    /// How many have been answered, and of how many of them it is known what is usual.
    answered: usize,
    compared: usize,
    /// How long these waited for their worker, and took then, together and in seconds.
    waited: f64,
    took: f64,
    /// How long they would usually have taken.
    usually: f64,
}

impl Window {
    fn new(began: Instant, busy: Duration, most: usize) -> Self {
        Self {
            began,
            busy,
            most,
            has_refused: false,
            answered: 0,
            compared: 0,
            waited: 0.0,
            took: 0.0,
            usually: 0.0,
        }
    }
}

/// A request that has been taken on.
#[derive(Debug)]
pub(super) struct Taken {
    at: Instant,
    /// Where no other was in flight then: how many had been taken on.
    alone_at: Option<u64>,
    /// When its worker came to it.
    begun: Option<Instant>,
    /// Since when it waits for its client, and for how long it did before.
    waits_since: Option<Instant>,
    waited: Duration,
}

impl AdaptiveLimit {
    /// Of a worker that has been at work for as long as `worked` says.
    pub(super) fn new(
        all: Arc<AdaptiveLimits>,
        now: Instant,
        worked: impl Fn() -> Duration + 'static,
    ) -> Self {
        all.workers.fetch_add(1, Ordering::Relaxed);
        all.limit.fetch_add(whole(INITIAL), Ordering::Relaxed);
        let busy = worked();
        let state = State {
            limit: INITIAL,
            in_flight: 0,
            average: QUICK / INITIAL,
            usual: Vec::new(),
            taken_on: 0,
            worked: busy,
            worked_since: now,
            window: Window::new(now, busy, 0),
        };
        Self {
            all,
            worked: Box::new(worked),
            state: RefCell::new(state),
        }
    }

    /// Whether these are those of its process.
    pub(super) fn is_one_of(&self, all: &Arc<AdaptiveLimits>) -> bool {
        Arc::ptr_eq(&self.all, all)
    }

    /// Takes a request of the route of this number on; `None` where there are too many.
    pub(super) fn admit(&self, route: usize, now: Instant) -> Option<Taken> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let busy = state.busy((self.worked)(), now);
        if state.is_to_adapt(now) {
            let before = whole(state.limit);
            state.adapt(now, busy);
            let after = whole(state.limit);
            // It wraps around where it falls.
            self.all
                .limit
                .fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
        // Quick ones may be more, but not those that are slow among them.
        let usual = state.usual.get(route).copied().unwrap_or_default();
        let takes = state.average.max(usual);
        let quick = whole(QUICK / takes);
        let limit = whole(state.limit).max(quick);
        // What takes longer would not be alone in time.
        let is_to_learn = takes <= LEARN.as_secs_f64() / 2.0
            && self
                .all
                .is_to_learn(state.window.has_refused, usual == 0.0, now);
        if state.in_flight >= limit {
            state.window.has_refused = true;
            return None;
        }
        if is_to_learn && state.in_flight >= quick.max(1) {
            return None;
        }
        let alone_at = self.enter(state);
        Some(Taken {
            at: now,
            alone_at,
            begun: None,
            waits_since: None,
            waited: Duration::ZERO,
        })
    }

    /// One more is in flight. Where it is the only one, this is how many have been taken on.
    fn enter(&self, state: &mut State) -> Option<u64> {
        state.in_flight += 1;
        state.taken_on += 1;
        state.window.most = state.window.most.max(state.in_flight);
        let others = self.all.in_flight.fetch_add(1, Ordering::Relaxed);
        let is_alone = state.in_flight == 1 && others < self.all.workers.load(Ordering::Relaxed);
        is_alone.then_some(state.taken_on)
    }

    /// The worker has come to the request.
    pub(super) fn begin(&self, taken: &mut Taken, now: Instant) {
        taken.begun = Some(now);
        self.state.borrow_mut().busy((self.worked)(), now);
    }

    /// The request waits for its client: it is not in flight meanwhile.
    pub(super) fn wait(&self, taken: &mut Taken, now: Instant) {
        if taken.waits_since.is_none() {
            taken.waits_since = Some(now);
            self.leave();
        }
    }

    /// The request waits for its client no longer.
    pub(super) fn go_on(&self, taken: &mut Taken, now: impl FnOnce() -> Instant) {
        if let Some(since) = taken.waits_since.take() {
            taken.waited += now().saturating_duration_since(since);
            taken.alone_at = self.enter(&mut self.state.borrow_mut());
        }
    }

    /// The request has been answered, or nobody waits for its answer any more.
    pub(super) fn end(&self, taken: &Taken) {
        if taken.waits_since.is_none() {
            self.leave();
        }
    }

    fn leave(&self) {
        self.state.borrow_mut().in_flight -= 1;
        self.all.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sees how long a request took that was answered by the route of this number.
    pub(super) fn answered(&self, taken: &Taken, route: usize, now: Instant) {
        let begun = taken.begun.unwrap_or(taken.at);
        let took = now.saturating_duration_since(begun);
        let took = took.saturating_sub(taken.waited).as_secs_f64();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        approach(&mut state.average, took, WEIGHT);
        if state.usual.len() <= route {
            state.usual.resize(route + 1, 0.0);
        }
        state.window.answered += 1;
        // And has been all the time.
        if taken.alone_at == Some(state.taken_on) {
            let is_to_learn = self.all.is_to_learn(false, false, now);
            let weight = if is_to_learn { LEARNED_WEIGHT } else { WEIGHT };
            state.learn(route, took, weight);
            self.all
                .learned
                .fetch_add(usize::from(is_to_learn), Ordering::Relaxed);
        }
        let usual = state.usual[route];
        // What began before the limit was changed says nothing of the new one.
        if usual > 0.0 && taken.at >= state.window.began {
            let waited = begun.saturating_duration_since(taken.at);
            state.window.compared += 1;
            state.window.waited += waited.as_secs_f64();
            state.window.took += took;
            state.window.usually += usual;
        }
    }
}

impl State {
    /// For how long the worker has been at work by now. This is asked again and again, since `worked` only changes when
    /// the worker looks whether something has come.
    fn busy(&mut self, worked: Duration, now: Instant) -> Duration {
        if worked != self.worked {
            self.worked = worked;
            self.worked_since = now;
        }
        worked + now.saturating_duration_since(self.worked_since)
    }

    fn learn(&mut self, route: usize, took: f64, weight: f64) {
        let usual = &mut self.usual[route];
        if *usual == 0.0 {
            *usual = took;
        }
        // One that is far off is a mishap, or something has changed and others follow.
        let took = took.clamp(*usual / OFF, *usual * OFF);
        approach(usual, took, weight);
    }

    fn is_to_adapt(&self, now: Instant) -> bool {
        let Window {
            began,
            compared,
            answered,
            has_refused,
            ..
        } = self.window;
        let lasts = now.saturating_duration_since(began);
        if compared >= SAMPLES + whole(self.limit / 2.0) {
            return lasts >= WINDOW;
        }
        // Where those that hang are as many as there may be, nothing would ever be answered.
        has_refused
            && answered == 0
            && lasts >= LONGEST_WINDOW
            && lasts.as_secs_f64() >= 3.0 * self.average
    }

    fn adapt(&mut self, now: Instant, busy: Duration) {
        let window = &self.window;
        let at_work = busy.saturating_sub(window.busy).as_secs_f64();
        let is_busy = at_work >= BUSY * (now - window.began).as_secs_f64();
        // That some wait for a worker that rests at other times is no overload.
        let waited = if is_busy { window.waited } else { 0.0 };
        let slower = if window.compared > 0 {
            (waited + window.took) / window.usually
        } else {
            1.0
        };
        if slower > SLOWER && window.most >= whole(self.limit / 2.0) {
            self.limit = (self.limit * (SLOWER / slower).max(LOWERED)).max(1.0);
        } else if !window.has_refused {
            self.limit = self.limit.max((self.limit * RAISED + 1.0).min(INITIAL));
        } else if !is_busy {
            self.limit = self.limit * RAISED + 1.0;
        }
        self.window = Window::new(now, busy, self.in_flight);
    }
}

fn approach(average: &mut f64, value: f64, weight: f64) {
    *average += (value - *average) * weight;
}

/// How many whole requests that is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit is positive, and what is too large becomes the largest there is"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

impl Drop for AdaptiveLimit {
    fn drop(&mut self) {
        let limit = whole(self.state.get_mut().limit);
        self.all.limit.fetch_sub(limit, Ordering::Relaxed);
        self.all.workers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for AdaptiveLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimit")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
