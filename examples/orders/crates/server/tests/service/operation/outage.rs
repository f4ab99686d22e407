//! The database has too much to do, or is gone.

use std::{thread, time::Duration};

use berth_testkit::{Postgres, Process, Response, eventually, free_port};

use crate::{
    payments::{Behaviour, Payments},
    postgres::Database,
    process::{ORDERS, create, order, post, sample, send, show, start, text},
};

/// 503, to be tried again, without a word of what the database said.
#[track_caller]
fn assert_unavailable(answer: &Response) {
    let detail = answer.assert_problem(503);
    assert_eq!(
        detail,
        "the database does not answer; try again in a moment"
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[track_caller]
fn ready_becomes(service: &Process, status: u16) {
    eventually("readiness", || service.get("/ready").status == status);
}

#[test]
fn a_pool_that_is_exhausted_is_told_and_recovers() {
    let database = Database::new();
    let settings = [
        ("DATABASE__MAX_CONNECTIONS", "2"),
        ("DATABASE__ACQUIRE_TIMEOUT", "300ms"),
        ("DATABASE__LOCK_TIMEOUT", "1m"),
        ("DATABASE__STATEMENT_TIMEOUT", "1m"),
    ];
    let service = start(&database, &settings);
    let mut other = database.sql();
    other.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let mut waiting = [service.client(), service.client()];
    for client in &mut waiting {
        client.send_request("GET", ORDERS, "", "");
    }
    let busy = "orders_database_connections{state=\"busy\"}";
    eventually("both are busy", || sample(&service, busy) == "2");
    assert_unavailable(&service.get(ORDERS));
    assert_unavailable(&post(&mut service.client(), "", &order(1)));
    ready_becomes(&service, 503);
    let ready = service.get("/ready").json();
    assert_eq!(ready["failed"][0]["name"], "database", "{ready}");
    assert_eq!(service.get("/health").status, 200);

    other.run("ROLLBACK");
    for client in &mut waiting {
        assert_eq!(client.read().status, 200);
    }
    ready_becomes(&service, 200);
    assert_eq!(service.get(ORDERS).status, 200);
    service.stop();
}

#[test]
fn a_statement_that_takes_too_long_is_ended() {
    let database = Database::new();
    let service = start(&database, &[("DATABASE__STATEMENT_TIMEOUT", "200ms")]);
    let mut other = database.sql();
    other.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    assert_unavailable(&service.get(ORDERS));
    other.run("ROLLBACK");
    assert_eq!(service.get(ORDERS).status, 200);
    service.stop();
}

/// A handler that is given up at `server.request_timeout` gives its connection back.
#[test]
fn a_request_that_is_given_up_keeps_no_connection() {
    let database = Database::new();
    let settings = [
        ("DATABASE__MAX_CONNECTIONS", "1"),
        ("DATABASE__LOCK_TIMEOUT", "1m"),
        ("SERVER__REQUEST_TIMEOUT", "300ms"),
    ];
    let service = start(&database, &settings);
    let mut client = service.client();
    let id = create(&mut client, 1);
    let mut other = database.sql();
    other.run("BEGIN; SELECT * FROM orders FOR UPDATE");
    for _ in 0..3 {
        let path = format!("{ORDERS}/{id}");
        let mut client = service.client();
        send(&mut client, "PUT", &path, "If-Match: *\r\n", &order(2));
        client.read().assert_problem(503);
    }
    other.run("ROLLBACK");
    eventually("free again", || service.get(ORDERS).status == 200);
    assert_eq!(show(&mut client, &id).json()["version"], 1);
    service.stop();
}

#[test]
fn a_database_that_is_gone_comes_back_without_a_restart() {
    let mut postgres = Postgres::start();
    let payments = Payments::start(Behaviour::Answer(200));
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("DATABASE__ACQUIRE_TIMEOUT", "300ms"),
    ];
    let mut service = start(&Database::on(&postgres), &settings);
    let mut client = service.client();
    let before = create(&mut client, 1);
    let key = "Idempotency-Key: during\r\n";
    for _ in 0..2 {
        postgres.stop();
        assert_unavailable(&service.get(ORDERS));
        assert_unavailable(&show(&mut client, &before));
        assert_unavailable(&post(&mut client, key, &order(2)));
        assert_unavailable(&service.get(&format!("{ORDERS}/export")));
        ready_becomes(&service, 503);
        assert_eq!(service.get("/health").status, 200);
        // Long enough for the worker to have met it.
        thread::sleep(Duration::from_millis(500));

        postgres.restart();
        ready_becomes(&service, 200);
        assert_eq!(service.get(ORDERS).status, 200);
        assert_eq!(text(&show(&mut client, &before), "id"), before);
    }
    let made = post(&mut client, key, &order(2));
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made, "id");
    eventually("confirmed", || {
        text(&show(&mut client, &id), "status") == "confirmed"
    });
    assert!(service.is_running());
    let log = service.stop();
    // What the client is not told, the log is.
    assert!(
        log.iter()
            .any(|line| line.contains("the database does not answer: ")),
        "{log:#?}"
    );
}

/// Without a database there is no service; what is wrong is said in one line, without the password.
#[test]
fn without_a_database_it_does_not_start() {
    let port = free_port();
    let url = format!("postgres://orders:s3cr3t@127.0.0.1:{port}/orders");
    let output = crate::process::command(&[("DATABASE__URL", &url)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("cannot connect to database.url"), "{log}");
    assert!(!log.contains("s3cr3t"), "{log}");
}
