//! The worker, and the payment service that it asks.

use std::{collections::HashSet, thread, time::Duration};

use berth_testkit::{Client, Process, eventually};

use crate::{
    payments::{Behaviour, Payments},
    postgres::Database,
    process::{create, order, post, sample, show, start, text},
};

#[track_caller]
fn becomes(client: &mut Client, id: &str, status: &str) {
    eventually(status, || text(&show(client, id), "status") == status);
}

fn outcomes(service: &Process, outcome: &str) -> String {
    sample(
        service,
        &format!("orders_outcomes_total{{outcome=\"{outcome}\"}}"),
    )
}

fn charges(service: &Process, result: &str) -> String {
    sample(
        service,
        &format!("orders_charges_total{{result=\"{result}\"}}"),
    )
}

#[test]
fn a_call_carries_what_the_request_came_with() {
    let payments = Payments::start(Behaviour::Answer(200));
    let service = start(&Database::new(), &[("PAYMENT__URL", &payments.url)]);
    let mut client = service.client();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers =
        format!("X-Request-Id: from-test\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let id = text(&post(&mut client, &headers, &order(3)), "id");
    becomes(&mut client, &id, "confirmed");
    let calls = payments.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let call = &calls[0];
    assert_eq!(call.headers["x-request-id"], "from-test");
    let parent: Vec<_> = call.headers["traceparent"].split('-').collect();
    assert_eq!(parent[1], trace);
    assert_eq!(call.key(), id);
    let body = serde_json::json!({ "order": id, "customer": "Ada", "amount_cents": 15 });
    assert_eq!(call.body, body);

    // Without a trace there is none; the id is the answer's.
    let made = post(&mut client, "", &order(1));
    becomes(&mut client, &text(&made, "id"), "confirmed");
    let call = payments.calls().pop().unwrap();
    assert_eq!(call.headers["x-request-id"], made.request_id());
    assert!(!call.headers.contains_key("traceparent"));
    service.stop();
}

#[test]
fn what_fails_is_tried_again_and_not_without_end() {
    let payments = Payments::start(Behaviour::AtFirst(2, 503));
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("PAYMENT__ATTEMPTS", "3"),
    ];
    let service = start(&Database::new(), &settings);
    let mut client = service.client();
    let id = create(&mut client, 1);
    becomes(&mut client, &id, "confirmed");
    assert_eq!(payments.calls().len(), 3);
    assert_eq!(
        (charges(&service, "failed"), charges(&service, "ok")),
        ("2".into(), "1".into())
    );
    assert_eq!(outcomes(&service, "put_off"), "0");

    payments.behave(Behaviour::Answer(500));
    let id = create(&mut client, 1);
    eventually("put off", || outcomes(&service, "put_off") == "1");
    let keys = |id: &str| {
        payments
            .calls()
            .iter()
            .filter(|call| call.key() == id)
            .count()
    };
    assert_eq!(keys(&id), 3);
    payments.behave(Behaviour::Answer(200));
    becomes(&mut client, &id, "confirmed");
    assert_eq!(keys(&id), 4);
    service.stop();
}

#[test]
fn what_is_refused_is_not_tried_again() {
    let payments = Payments::start(Behaviour::Answer(402));
    let service = start(&Database::new(), &[("PAYMENT__URL", &payments.url)]);
    let mut client = service.client();
    let id = create(&mut client, 1);
    becomes(&mut client, &id, "rejected");
    assert_eq!(payments.calls().len(), 1);
    assert_eq!(outcomes(&service, "rejected"), "1");
    // Not understood is neither paid nor refused.
    payments.behave(Behaviour::Answer(401));
    let id = create(&mut client, 1);
    eventually("put off", || outcomes(&service, "put_off") == "1");
    assert_eq!(payments.calls().len(), 2);
    assert_eq!(text(&show(&mut client, &id), "status"), "pending");
    service.stop();
}

#[test]
fn an_attempt_has_its_time() {
    let payments = Payments::start(Behaviour::Silent);
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("PAYMENT__TIMEOUT", "200ms"),
        ("PAYMENT__ATTEMPTS", "2"),
    ];
    let mut service = start(&Database::new(), &settings);
    let mut client = service.client();
    let id = create(&mut client, 1);
    eventually("put off", || outcomes(&service, "put_off") == "1");
    assert_eq!(payments.calls().len(), 2);
    let line = service.wait_for_log("is put off");
    assert!(!line.contains("/charges"), "{line}");
    payments.behave(Behaviour::Answer(200));
    becomes(&mut client, &id, "confirmed");
    service.stop();
}

/// It finishes what it is at, and begins nothing more.
#[test]
fn stopped_in_the_middle_of_a_job_it_finishes_it() {
    let database = Database::new();
    let payments = Payments::start(Behaviour::After(Duration::from_secs(1)));
    let service = start(&database, &[("PAYMENT__URL", &payments.url)]);
    let mut client = service.client();
    let first = create(&mut client, 1);
    let second = create(&mut client, 2);
    eventually("it is at the first", || payments.calls().len() == 1);
    drop(client);
    service.stop();
    assert_eq!(payments.calls().len(), 1);
    let status = |id: &str, status: &str| {
        database.number(&format!(
            "SELECT count(*) FROM orders WHERE id = '{id}' AND status = '{status}'"
        ))
    };
    assert_eq!(status(&first, "confirmed"), 1);
    assert_eq!(status(&second, "pending"), 1);

    let service = start(&database, &[("PAYMENT__URL", &payments.url)]);
    becomes(&mut service.client(), &second, "confirmed");
    assert_eq!(payments.calls().len(), 2);
    service.stop();
}

/// Not even where the payment service does not answer.
#[test]
fn a_stop_does_not_wait_for_attempts_that_are_not_begun() {
    let database = Database::new();
    let payments = Payments::start(Behaviour::Silent);
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("PAYMENT__TIMEOUT", "2s"),
        ("PAYMENT__ATTEMPTS", "10"),
    ];
    let service = start(&database, &settings);
    create(&mut service.client(), 1);
    eventually("it is at it", || payments.calls().len() == 1);
    service.stop();
    assert_eq!(payments.calls().len(), 1);
    assert_eq!(
        database.number("SELECT count(*) FROM orders WHERE status = 'pending'"),
        1
    );
}

#[test]
fn killed_in_the_middle_of_a_job_it_loses_and_doubles_nothing() {
    let database = Database::new();
    let payments = Payments::start(Behaviour::Silent);
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("PAYMENT__TIMEOUT", "1m"),
        ("SHUTDOWN__TIMEOUT", "2m"),
    ];
    let mut service = start(&database, &settings);
    let id = create(&mut service.client(), 1);
    eventually("it is at it", || payments.calls().len() == 1);
    service.signal("KILL");
    service.wait();
    assert_eq!(
        database.number("SELECT count(*) FROM orders WHERE status = 'pending'"),
        1
    );

    payments.behave(Behaviour::Answer(200));
    let service = start(&database, &settings);
    let mut client = service.client();
    becomes(&mut client, &id, "confirmed");
    let calls = payments.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    // The payment service knows by it that this is the same.
    assert_eq!(calls[0].key(), calls[1].key());
    assert_eq!(show(&mut client, &id).json()["version"], 2);
    service.stop();
}

/// Two instances side by side, one of which is killed again and again.
#[test]
fn many_workers_do_each_job_once() {
    const ORDERS: usize = 60;
    let database = Database::new();
    let payments = Payments::start(Behaviour::After(Duration::from_millis(20)));
    let settings = [("PAYMENT__URL", payments.url.as_str())];
    let steady = start(&database, &settings);
    let mut killed = start(&database, &settings);
    let mut client = steady.client();
    let mut ids = HashSet::new();
    for number in 0..ORDERS {
        ids.insert(create(&mut client, 1));
        if number % 15 == 14 {
            killed.signal("KILL");
            killed.wait();
            killed = start(&database, &settings);
            thread::sleep(Duration::from_millis(30));
        }
    }
    eventually("all are confirmed", || {
        database.number("SELECT count(*) FROM orders WHERE status = 'confirmed'")
            == i64::try_from(ORDERS).unwrap()
    });
    assert_eq!(database.number("SELECT max(version) FROM orders"), 2);
    let calls = payments.calls();
    let paid: HashSet<_> = calls.iter().map(|call| call.key().to_owned()).collect();
    assert_eq!(paid, ids);
    // At most one for each kill has been asked twice.
    assert!(calls.len() <= ORDERS + ORDERS / 15, "{}", calls.len());
    killed.stop();
    steady.stop();
}
