//! Workers under loads of all kinds, in a time that is simulated.

use std::{
    cell::Cell,
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    rc::Rc,
};

use super::*;

/// What a refusal costs.
const REFUSAL: Duration = Duration::from_micros(20);

/// How requests are served.
#[derive(Clone, Copy)]
enum Serving {
    /// Each by its worker, which does nothing else meanwhile.
    Computing,
    /// By so many others, such as the connections of a pool, which all workers share.
    Pool(usize),
}

/// A service with two workers.
struct Service {
    serving: Serving,
    workers: Vec<Worker>,
    random: fastrand::Rng,
    start: Instant,
    waiting: VecDeque<(usize, Request)>,
    at_work: usize,
    latencies: Vec<f64>,
    refused: usize,
}

struct Worker {
    limit: AdaptiveLimit,
    worked: Rc<Cell<Duration>>,
    /// Until when it computes, and what has come meanwhile.
    until: Duration,
    arrived: Vec<Request>,
}

/// One that has come at this time, and takes so long.
struct Request {
    at: Duration,
    takes: Duration,
    route: usize,
    taken: Option<Taken>,
}

enum Event {
    Arrives(usize, Request),
    Computes(usize),
    Answered(usize, Request),
}

/// Some time, and what happens at it.
struct At(Duration, usize, Event);

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The share of each route in the load, and how long a request of it takes, in milliseconds.
type Mix = &'static [(f64, f64)];

/// What came of a load.
#[derive(Debug)]
struct Seen {
    answered: f64,
    refused: f64,
    median: f64,
    p99: f64,
}

impl Service {
    fn new(serving: Serving) -> Self {
        let start = Instant::now();
        let all = Arc::new(AdaptiveLimits::new(start));
        let workers = (0..2).map(|_| {
            let worked = Rc::<Cell<Duration>>::default();
            let so_far = Rc::clone(&worked);
            Worker {
                limit: AdaptiveLimit::new(Arc::clone(&all), start, move || so_far.get()),
                worked,
                until: Duration::ZERO,
                arrived: Vec::new(),
            }
        });
        Self {
            workers: workers.collect(),
            serving,
            random: fastrand::Rng::with_seed(1),
            start,
            waiting: VecDeque::new(),
            at_work: 0,
            latencies: Vec::new(),
            refused: 0,
        }
    }

    /// Has `rate` requests a second come for so long, after all that has come before, and gives what came of the last
    /// half of them, by second.
    fn load(&mut self, from: f64, seconds: f64, rate: f64, mix: Mix) -> Seen {
        let mut events = BinaryHeap::new();
        let mut number = 0;
        let mut at = from;
        let half = from + seconds / 2.0;
        while at < from + seconds {
            at += -self.random.f64().ln() / rate;
            let mut share = self.random.f64();
            let route = mix.iter().position(|(of, _)| {
                share -= of;
                share < 0.0
            });
            let route = route.unwrap_or_default();
            let request = Request {
                at: Duration::from_secs_f64(at),
                takes: Duration::from_secs_f64(mix[route].1 / 1000.0),
                route,
                taken: None,
            };
            let worker = self.random.usize(..2);
            number += 1;
            events.push(Reverse(At(
                request.at,
                number,
                Event::Arrives(worker, request),
            )));
        }
        let mut counts = false;
        while let Some(Reverse(At(now, _, event))) = events.pop() {
            if !counts && now.as_secs_f64() >= half {
                counts = true;
                self.latencies.clear();
                self.refused = 0;
            }
            let next = match event {
                Event::Arrives(worker, request) => self.arrives(worker, request, now),
                Event::Computes(worker) => self.computes(worker, now),
                Event::Answered(worker, request) => {
                    self.answered(worker, &request, now);
                    self.at_work -= 1;
                    self.begin(now)
                }
            };
            for (at, event) in next {
                number += 1;
                events.push(Reverse(At(at, number, event)));
            }
        }
        self.latencies.sort_by(f64::total_cmp);
        let count = number_of(self.latencies.len());
        let at = |part: f64| {
            let place = whole(part * count);
            self.latencies
                .get(place)
                .map_or(0.0, |latency| latency * 1000.0)
        };
        Seen {
            answered: count / (seconds / 2.0),
            refused: number_of(self.refused) / (seconds / 2.0),
            median: at(0.5),
            p99: at(0.99),
        }
    }

    fn arrives(
        &mut self,
        worker: usize,
        mut request: Request,
        now: Duration,
    ) -> Vec<(Duration, Event)> {
        let it = &mut self.workers[worker];
        match self.serving {
            Serving::Computing => {
                it.arrived.push(request);
                // The first of them has it look when it is done with what it does.
                if it.arrived.len() > 1 {
                    return Vec::new();
                }
                vec![(it.until.max(now), Event::Computes(worker))]
            }
            Serving::Pool(_) => {
                it.worked.update(|worked| worked + REFUSAL);
                request.taken = it.limit.admit(request.route, self.start + now);
                if request.taken.is_none() {
                    self.refused += 1;
                    return Vec::new();
                }
                self.waiting.push_back((worker, request));
                self.begin(now)
            }
        }
    }

    /// A worker takes on or refuses what has come, and then does the work.
    fn computes(&mut self, worker: usize, now: Duration) -> Vec<(Duration, Event)> {
        let it = &mut self.workers[worker];
        let mut at = now;
        let mut batch = Vec::new();
        for mut request in std::mem::take(&mut it.arrived) {
            request.taken = it.limit.admit(request.route, self.start + at);
            if request.taken.is_some() {
                batch.push(request);
            } else {
                self.refused += 1;
                at += REFUSAL;
            }
        }
        for mut request in batch {
            if let Some(taken) = &mut request.taken {
                let limit = &self.workers[worker].limit;
                limit.begin(taken, self.start + at);
            }
            at += request.takes;
            self.answered(worker, &request, at);
        }
        let it = &mut self.workers[worker];
        it.until = at;
        it.worked.update(|worked| worked + at.saturating_sub(now));
        Vec::new()
    }

    /// What waits for the pool and has a place in it now.
    fn begin(&mut self, now: Duration) -> Vec<(Duration, Event)> {
        let Serving::Pool(size) = self.serving else {
            return Vec::new();
        };
        let mut begun = Vec::new();
        while self.at_work < size
            && let Some((worker, request)) = self.waiting.pop_front()
        {
            self.at_work += 1;
            begun.push((now + request.takes, Event::Answered(worker, request)));
        }
        begun
    }

    fn answered(&mut self, worker: usize, request: &Request, now: Duration) {
        let limit = &self.workers[worker].limit;
        if let Some(taken) = &request.taken {
            limit.answered(taken, request.route, self.start + now);
            limit.end(taken);
        }
        self.latencies
            .push(now.saturating_sub(request.at).as_secs_f64());
    }
}

fn number_of(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

/// Asserts that beyond its capacity a service answers nearly as much as it can, and what it takes on in less than twice
/// the time that it would have without load; and that it refuses nothing where it need not.
#[track_caller]
fn carries(serving: Serving, capacity: f64, mix: Mix) {
    let calm = Service::new(serving).load(0.0, 20.0, capacity / 2.0, mix);
    assert!(calm.refused < 0.01 * calm.answered, "{calm:?}");
    // Just at its capacity, the wait would have no end without a refusal; and ten refusals for each answer cost something.
    for (multiple, answered, slower) in [
        (1.0, 0.75, 3.0),
        (2.0, 0.9, 2.0),
        (3.0, 0.9, 2.0),
        (10.0, 0.85, 2.0),
    ] {
        let mut service = Service::new(serving);
        service.load(0.0, 10.0, capacity / 3.0, mix);
        let seen = service.load(10.0, 40.0, capacity * multiple, mix);
        let saw = format!("{multiple} × {capacity} a second: {seen:?}, calm: {calm:?}");
        assert!(seen.answered > answered * capacity, "{saw}");
        assert!(seen.p99 < slower * calm.p99, "{saw}");
        let after = service.load(50.0, 20.0, capacity / 2.0, mix);
        assert!(
            after.refused < 0.01 * after.answered,
            "after {saw}: {after:?}"
        );
    }
}

#[test]
fn workers_that_compute() {
    carries(Serving::Computing, 400.0, &[(1.0, 5.0)]);
}

#[test]
fn workers_that_wait_for_a_pool() {
    carries(Serving::Pool(20), 400.0, &[(1.0, 50.0)]);
}

#[test]
fn routes_of_many_kinds() {
    carries(Serving::Pool(20), 1000.0, &[(0.8, 2.5), (0.2, 90.0)]);
    carries(Serving::Computing, 1000.0, &[(0.9, 1.0), (0.1, 11.0)]);
}

#[test]
fn what_is_usual_is_learned_under_load_too() {
    let mix: Mix = &[(1.0, 50.0)];
    let seen = Service::new(Serving::Pool(20)).load(0.0, 60.0, 1200.0, mix);
    assert!(seen.answered > 0.9 * 400.0 && seen.p99 < 100.0, "{seen:?}");
}

#[test]
fn what_takes_longer_from_now_on_is_learned() {
    let mut service = Service::new(Serving::Pool(20));
    service.load(0.0, 20.0, 200.0, &[(1.0, 20.0)]);
    service.load(20.0, 25.0, 200.0, &[(1.0, 60.0)]);
    let seen = service.load(45.0, 20.0, 200.0, &[(1.0, 60.0)]);
    assert!(seen.refused == 0.0, "{seen:?}");
}

#[test]
fn without_refusals_a_worker_would_be_late_for_all() {
    let mut service = Service::new(Serving::Pool(20));
    let no_limit = |worker: &Worker| worker.limit.state.borrow_mut().limit = 1e9;
    service.workers.iter().for_each(no_limit);
    let seen = service.load(0.0, 5.0, 1200.0, &[(1.0, 50.0)]);
    assert!(seen.refused == 0.0 && seen.median > 1000.0, "{seen:?}");
}

#[test]
fn a_request_that_waits_for_its_client_is_not_in_flight() {
    let now = Instant::now();
    let limit = AdaptiveLimit::new(Arc::new(AdaptiveLimits::new(now)), now, || Duration::ZERO);
    limit.state.borrow_mut().limit = 1.0;
    limit.state.borrow_mut().average = 1.0;
    let mut slow = limit.admit(0, now).unwrap();
    assert!(limit.admit(0, now).is_none());
    limit.wait(&mut slow, now);
    limit.wait(&mut slow, now);
    let quick = limit.admit(0, now).unwrap();
    limit.end(&quick);
    limit.go_on(&mut slow, || now + Duration::from_secs(5));
    limit.go_on(&mut slow, || now + Duration::from_secs(6));
    assert!(limit.admit(0, now).is_none());
    // Nor has it taken that long.
    limit.answered(&slow, 0, now + Duration::from_secs(7));
    limit.end(&slow);
    assert!(limit.state.borrow().average < 1.2);
    assert_eq!(
        limit
            .all
            .in_flight
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn one_that_hangs_does_not_keep_others_out() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs_f64(seconds);
    // It works for a moment, and rests again.
    let worked = Cell::new(Duration::ZERO);
    let works = move || {
        worked.update(|so_far| so_far + REFUSAL);
        worked.get()
    };
    let limit = AdaptiveLimit::new(Arc::new(AdaptiveLimits::new(start)), start, works);
    limit.state.borrow_mut().limit = 1.0;
    limit.state.borrow_mut().average = 0.02;
    limit.state.borrow_mut().usual = vec![0.02];
    let mut hangs = limit.admit(0, start).unwrap();
    limit.begin(&mut hangs, start);
    assert!(limit.admit(0, after(0.5)).is_none());
    assert!(limit.admit(0, after(0.9)).is_none());
    assert!(limit.admit(0, after(1.1)).is_some());
}
