use std::io::{Error as IoError, ErrorKind};

use anyhow::{Context as _, anyhow};

use super::*;

fn watched(failure_threshold: u32, success_threshold: u32) -> Arc<CheckState> {
    CheckState::new(CheckPolicy {
        name: "db".to_owned(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(10),
        failure_threshold,
        success_threshold,
        required: true,
    })
}

fn report(watched: &CheckState, passed: bool) -> Option<Status> {
    watched.report(passed, Duration::from_millis(1))
}

#[test]
fn the_first_result_counts_whatever_the_thresholds() {
    let it = watched(3, 3);
    assert_eq!(it.snapshot().status, Status::Pending);
    assert_eq!(report(&it, true), Some(Status::Ok));
    let it = watched(3, 3);
    assert_eq!(report(&it, false), Some(Status::Failed));
    assert_eq!(report(&it, false), None);
    assert_eq!(report(&it, true), Some(Status::Ok));
}

#[test]
fn only_results_in_a_row_change_it() {
    let it = watched(3, 2);
    report(&it, true);
    for passed in [false, false, true, false, false] {
        assert_eq!(report(&it, passed), None);
    }
    let since = it.snapshot().since;
    assert_eq!(report(&it, false), Some(Status::Failed));
    assert!(it.snapshot().since > since);
    for passed in [true, false, true] {
        assert_eq!(report(&it, passed), None);
    }
    assert_eq!(report(&it, true), Some(Status::Ok));
}

#[test]
fn an_old_success_is_a_failure_until_the_next_one() {
    let it = watched(3, 3);
    report(&it, true);
    std::thread::sleep(Duration::from_millis(80));
    let snapshot = it.snapshot();
    assert_eq!(snapshot.status, Status::Failed);
    assert!(snapshot.since <= SystemTime::now());
    report(&it, true);
    assert_eq!(it.snapshot().status, Status::Ok);
}

#[test]
fn another_policy_changes_nothing_that_is_known() {
    let it = watched(3, 3);
    report(&it, true);
    let since = it.snapshot().since;
    let mut policy = it.policy().clone();
    policy.failure_threshold = 1;
    let next = it.with_policy(policy);
    let snapshot = next.snapshot();
    assert_eq!((snapshot.status, snapshot.since), (Status::Ok, since));
    assert_eq!(snapshot.last, None);
    assert_eq!(report(&next, false), Some(Status::Failed));
    // Without any attempt it still gets old.
    let next = it.with_policy(it.policy().clone());
    std::thread::sleep(Duration::from_millis(80));
    assert_eq!(next.snapshot().status, Status::Failed);
}

#[test]
fn a_late_one_is_missed_only_once_it_has_failed() {
    let policy = watched(3, 3).policy().clone();
    let [early, late] = [CheckState::new(policy.clone()), CheckState::late(policy)];
    assert!(early.is_missing(&early.snapshot()));
    assert!(!late.is_missing(&late.snapshot()));
    report(&late, false);
    assert!(late.is_missing(&late.snapshot()));
    report(&late, true);
    assert!(!late.is_missing(&late.snapshot()));
}

async fn ask(pool: Arc<Mutex<u32>>) -> anyhow::Result<()> {
    *pool.lock().unwrap() += 1;
    Ok(())
}

async fn ping(pool: &Arc<Mutex<u32>>) -> anyhow::Result<()> {
    ask(Arc::clone(pool)).await
}

fn io(fails: bool) -> Result<(), IoError> {
    if fails {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

/// As people write them: none says a type.
#[actix_web::test]
async fn whatever_asks_is_a_check() {
    let pool = Arc::new(Mutex::new(0));
    let (lent, asked) = (Arc::clone(&pool), Arc::clone(&pool));
    let mut attempts = 0;
    let checks = [
        Dependency::new("of nothing", || async { Ok(()) }),
        Dependency::new("an async closure", async || {
            io(false)?;
            Ok(())
        }),
        Dependency::new("one that borrows from itself", async move || {
            attempts += 1;
            ping(&lent).await
        }),
        Dependency::new("one that gives a future", move || ask(Arc::clone(&asked))),
        Dependency::with("by name", Arc::clone(&pool), ping),
        Dependency::with("of what it is lent", Arc::clone(&pool), async |pool| {
            *pool.lock().unwrap() += 1;
            Ok(io(false)?)
        }),
    ];
    for mut dependency in checks {
        for _ in 0..2 {
            let outcome = dependency.check.check().await;
            assert!(outcome.is_ok(), "{}", dependency.policy.name);
        }
    }
    assert_eq!(*pool.lock().unwrap(), 8);
}

/// And with what was tried.
#[actix_web::test]
async fn every_error_of_a_check_is_told() {
    let tried = || async { io(true).context("asking the cache") };
    let mut checks = [
        Dependency::new("typed", async || Ok(io(true)?)),
        Dependency::new("words", async || Err(anyhow!("still being filled"))),
        Dependency::new("both", tried),
    ];
    let mut told = Vec::new();
    for dependency in &mut checks {
        let cause = dependency.check.check().await.unwrap_err();
        told.push((cause.to_string(), cause.source().map(ToString::to_string)));
    }
    let refused = "connection refused".to_owned();
    assert_eq!(
        told,
        [
            (refused.clone(), None),
            ("still being filled".to_owned(), None),
            ("asking the cache".to_owned(), Some(refused)),
        ]
    );
}
