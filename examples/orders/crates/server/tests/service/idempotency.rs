//! `Idempotency-Key`.

use std::{collections::HashSet, sync::Barrier, thread};

use berth_testkit::eventually;

use crate::{
    payments::{Behaviour, Payments},
    postgres::Database,
    process::{ORDERS, order, post, sample, show, start, text},
};

fn key(key: &str) -> String {
    format!("Idempotency-Key: {key}\r\n")
}

#[test]
fn the_same_key_gets_the_same_answer_also_after_a_restart() {
    let database = Database::new();
    let payments = Payments::start(Behaviour::Answer(200));
    let settings = [("PAYMENT__URL", payments.url.as_str())];
    let service = start(&database, &settings);
    let mut client = service.client();
    let first = post(&mut client, &key("a"), &order(1));
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = post(&mut client, &key("a"), &order(1));
    let same = |answer: &berth_testkit::Response| {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.body, first.body);
        for name in ["location", "etag", "content-type"] {
            assert_eq!(answer.header(name), first.header(name), "{name}");
        }
        assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    };
    same(&again);
    assert_eq!(sample(&service, "orders_replayed_total"), "1");
    // As it was then, whatever has become of the order.
    eventually("confirmed", || {
        text(&show(&mut client, &text(&first, "id")), "status") == "confirmed"
    });
    same(&post(&mut client, &key("a"), &order(1)));

    let detail = post(&mut client, &key("a"), &order(2)).assert_problem(422);
    assert!(detail.contains("another body"), "{detail}");
    drop(client);
    service.stop();

    let service = start(&database, &settings);
    let mut client = service.client();
    same(&post(&mut client, &key("a"), &order(1)));
    post(&mut client, &key("a"), &order(2)).assert_problem(422);
    let other = post(&mut client, &key("b"), &order(1));
    assert_ne!(text(&other, "id"), text(&first, "id"));
    assert_eq!(database.number("SELECT count(*) FROM orders"), 2);
    service.stop();
}

#[test]
fn two_at_once_make_one_order() {
    const PAIRS: usize = 100;
    let database = Database::new();
    let service = start(&database, &[]);
    let barrier = Barrier::new(2);
    let run = |_: usize| {
        let mut client = service.client();
        let mut ids = Vec::new();
        let mut replayed = 0;
        for pair in 0..PAIRS {
            barrier.wait();
            let answer = post(&mut client, &key(&format!("pair-{pair}")), &order(1));
            assert_eq!(answer.status, 201, "{answer:?}");
            replayed += usize::from(answer.header("idempotent-replayed").is_some());
            ids.push(text(&answer, "id"));
        }
        (ids, replayed)
    };
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| run(1));
        (run(2), one.join().unwrap())
    });
    assert_eq!(one.0, other.0);
    assert_eq!(one.1 + other.1, PAIRS);
    assert_eq!(one.0.iter().collect::<HashSet<_>>().len(), PAIRS);
    let orders = database.number("SELECT count(*) FROM orders");
    assert_eq!(usize::try_from(orders).unwrap(), PAIRS);
    service.stop();
}

/// Two instances share no memory.
#[test]
fn two_at_two_instances_make_one_order() {
    const PAIRS: i64 = 30;
    let database = Database::new();
    let services = [start(&database, &[]), start(&database, &[])];
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for service in &services {
            scope.spawn(|| {
                let mut client = service.client();
                for pair in 0..PAIRS {
                    barrier.wait();
                    let answer = post(&mut client, &key(&pair.to_string()), &order(1));
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            });
        }
    });
    assert_eq!(database.number("SELECT count(*) FROM orders"), PAIRS);
    for service in services {
        service.stop();
    }
}

/// What waits for the other one waits for `database.lock_timeout` at most.
#[test]
fn one_that_waits_too_long_for_the_other_is_told_so() {
    let database = Database::new();
    let service = start(&database, &[("DATABASE__LOCK_TIMEOUT", "100ms")]);
    let mut other = database.sql();
    other.run("BEGIN; INSERT INTO idempotency_keys (key, fingerprint) VALUES ('a', '')");
    let answer = post(&mut service.client(), &key("a"), &order(1));
    let detail = answer.assert_problem(409);
    assert!(detail.contains("try again"), "{detail}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    other.run("ROLLBACK");
    assert_eq!(
        post(&mut service.client(), &key("a"), &order(1)).status,
        201
    );
    service.stop();
}

#[test]
fn a_key_is_free_after_a_refusal_and_after_its_time() {
    let database = Database::new();
    let service = start(&database, &[("ORDERS__IDEMPOTENCY_TTL", "1s")]);
    let mut client = service.client();
    post(&mut client, &key("a"), &order(0)).assert_problem(422);
    let first = post(&mut client, &key("a"), &order(1));
    assert_eq!(first.status, 201, "{first:?}");
    eventually("forgotten", || {
        database.number("SELECT count(*) FROM idempotency_keys") == 0
    });
    let second = post(&mut client, &key("a"), &order(2));
    assert_eq!(second.status, 201, "{second:?}");
    service.stop();
}

#[test]
fn what_is_no_key_is_refused() {
    let database = Database::new();
    let service = start(&database, &[]);
    let mut client = service.client();
    let longest = key(&"k".repeat(255));
    assert_eq!(post(&mut client, &longest, &order(1)).status, 201);
    for wrong in [
        "Idempotency-Key: \r\n".to_owned(),
        key(&"k".repeat(256)),
        key("é"),
        key("a") + &key("b"),
    ] {
        // Its body is not read, so the connection ends.
        let detail = post(&mut service.client(), &wrong, &order(1)).assert_problem(400);
        assert!(detail.contains("Idempotency-Key"), "{wrong}: {detail}");
    }
    assert_eq!(
        client.get(ORDERS).json()["orders"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    service.stop();
}
