//! `/ready` and what it depends on.

mod checks;
mod dependency;
mod servers;

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::Berth;

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);
const FAILURES: u32 = 2;

/// How soon `/ready` has to follow, and how late a busy machine may be.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(300 * 2 + 200 + 700);

/// A check of this URL, as the variable that sets it.
fn check(url: &str, more: &str) -> String {
    format!(
        "[{{ name = 'dep', url = '{url}', interval = '{}ms', timeout = '{}ms', \
         failure_threshold = {FAILURES}{more} }}]",
        INTERVAL.as_millis(),
        TIMEOUT.as_millis()
    )
}

/// The same check, which no failure is allowed to.
fn impatient(check: &str) -> String {
    let threshold = format!("failure_threshold = {FAILURES}");
    assert!(check.contains(&threshold), "{check}");
    check.replace(&threshold, "failure_threshold = 1")
}

fn start(checks: &str) -> Berth {
    Berth::start(&[("BERTH__READINESS__CHECKS", checks)])
}

fn ready(server: &Berth) -> (u16, Value) {
    let response = server.get("/ready");
    let body = serde_json::from_str(response.text()).unwrap();
    (response.status, body)
}

/// Waits until `/ready` has this status. Meanwhile the process lives, and nothing that it answers
/// waits for a check.
fn follows(server: &Berth, status: u16, what: &str) {
    let start = Instant::now();
    while ready(server).0 != status {
        assert!(
            start.elapsed() < FOLLOWS_WITHIN,
            "{what}: /ready is not {status}"
        );
        assert_eq!(server.get("/health").status, 200);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Nothing changes for longer than a change would take.
fn stays(server: &Berth, status: u16, what: &str) {
    let start = Instant::now();
    while start.elapsed() < FOLLOWS_WITHIN {
        assert_eq!(ready(server).0, status, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The API answers sooner than a check that hangs gives up: nothing waits for one. (A busy machine may
/// hold up the odd request for as long.)
fn api_is_not_slower(server: &Berth) {
    let mut client = server.client();
    let mut took: Vec<_> = (0..200)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get("/api/v1/hello").status, 200);
            start.elapsed()
        })
        .collect();
    took.sort();
    assert!(
        took[190] < TIMEOUT,
        "requests have waited for a check: {took:?}"
    );
}
