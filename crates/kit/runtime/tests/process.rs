//! The start, tasks and `on_stop` in a real process: the example `worker`, with real sockets and signals.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::{DEADLINE, Process};

fn start(behaviour: &str, pool: &str) -> Process {
    support::start("worker", &[("WORKER", behaviour), ("POOL", pool)])
}

fn building(how: &str) -> Process {
    support::start("worker", &[("BUILD", how)])
}

/// Its exit code, and how long the stop took.
fn stop(worker: &mut Process) -> (Option<i32>, Duration) {
    // The task has begun, too.
    thread::sleep(Duration::from_millis(100));
    worker.signal("TERM");
    worker.wait_timed()
}

/// The timeout, and what the process may take after it.
const BOUND: Duration = Duration::from_millis(2500);

#[test]
fn a_task_is_told_at_the_signal_and_then_all_is_closed_in_reverse() {
    let mut worker = start("polite", "");
    let (code, took) = stop(&mut worker);
    assert_eq!(code, Some(0), "{:#?}", worker.log());
    assert!(took < BOUND, "{took:?}");
    let order = [
        "SIGTERM",
        "finishing its job",
        "pool: closed",
        "cache: closed",
        "every request was answered",
    ];
    assert!(
        order.map(|text| worker.line(text)).is_sorted(),
        "{:#?}",
        worker.log()
    );
}

#[test]
fn a_task_that_has_ended_is_no_failure() {
    let mut worker = start("ends", "");
    worker.wait_for_log("task worker has ended");
    assert_eq!(stop(&mut worker).0, Some(0), "{:#?}", worker.log());
}

#[test]
fn what_does_not_stop_in_time_is_named_and_cut_off() {
    for (behaviour, pool, named) in [
        ("deaf", "", "task worker is cut off"),
        ("blocks", "", "task worker is cut off"),
        ("polite", "hangs", "on_stop pool is cut off"),
    ] {
        let mut worker = start(behaviour, pool);
        let (code, took) = stop(&mut worker);
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log());
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(named);
        worker.line("failed or was cut off");
    }
}

#[test]
fn a_task_that_fails_stops_the_service() {
    for (behaviour, why) in [("fails", "the queue is gone"), ("panics", "it panicked")] {
        let mut worker = start(behaviour, "");
        let (code, took) = worker.wait_timed();
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log());
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(&format!("task worker failed, so the service stops: {why}"));
        worker.line("pool: closed");
    }
}

#[test]
fn a_service_that_is_being_built_says_so_and_ends_at_once() {
    for wait in [0, 20, 60, 400] {
        let mut worker = building("never");
        if wait == 400 {
            assert_eq!(worker.get("/health").status, 200);
            let detail = worker.get("/ready").text().to_owned();
            assert!(detail.contains("starting up"), "{detail}");
            assert_eq!(worker.get("/ready").status, 503);
            let other = worker.get("/api/v1/orders");
            other.assert_problem(503);
            assert_eq!(other.header("retry-after"), Some("1"));
        }
        thread::sleep(Duration::from_millis(wait));
        let (code, took) = stop(&mut worker);
        assert_eq!(code, Some(0), "{:#?}", worker.log());
        assert!(took < Duration::from_secs(1), "{took:?}");
        worker.line("SIGTERM came before the start was complete");
    }
}

#[test]
fn no_request_is_lost_when_the_service_takes_over() {
    let mut worker = building("slow");
    let start = Instant::now();
    let mut asked = 0;
    while worker.get("/ready").status != 200 {
        let health = worker.get("/health");
        assert_eq!(health.status, 200, "{health:?} after {asked}");
        asked += 1;
        assert!(start.elapsed() < DEADLINE);
    }
    assert!(
        start.elapsed() > Duration::from_secs(1) && asked > 10,
        "{asked} in {:?}",
        start.elapsed()
    );
    assert!(worker.get("/metrics").text().contains("\nberth_ready 1\n"));
    assert_eq!(stop(&mut worker).0, Some(0), "{:#?}", worker.log());
}

#[test]
fn a_service_that_cannot_be_built_says_why() {
    for (how, why) in [
        ("fails", "the database is gone"),
        ("fails late", "the database is gone"),
        ("panics", "cannot be built: it panicked"),
    ] {
        let mut worker = building(how);
        let (code, _) = worker.wait_timed();
        assert_eq!(code, Some(1), "{how}: {:#?}", worker.log());
        worker.line(why);
    }
}
