//! The export, which may be long.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::{Client, eventually};
use serde_json::Value;

use crate::{
    postgres::Database,
    process::{ORDERS, create, sample, start},
};

const EXPORT: &str = "/api/v1/orders/export";

/// Makes so many orders, of a kilobyte each.
fn fill(database: &Database, orders: usize) {
    database.sql().run(&format!(
        "INSERT INTO orders (id, customer, items, total_cents) \
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Ada', \
         jsonb_build_array(jsonb_build_object('sku', repeat('x', 32), 'quantity', 1, 'price_cents', 1), \
         jsonb_build_object('sku', repeat('y', 32), 'quantity', n, 'price_cents', 1)), n \
         FROM generate_series(1, {orders}) AS n"
    ));
}

/// Reads an answer in chunks, with a pause before each; gives its lines.
fn read_slowly(client: &mut Client, pause: Duration) -> Vec<Value> {
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    while !client.line().unwrap().is_empty() {}
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&client.line().unwrap(), 16).unwrap();
        body.extend(client.read_raw(size));
        assert_eq!(client.line().unwrap(), "");
        if size == 0 {
            break;
        }
        thread::sleep(pause);
    }
    let text = String::from_utf8(body).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[track_caller]
fn assert_all(orders: &[Value], expected: usize) {
    assert_eq!(orders.len(), expected);
    for (number, order) in orders.iter().enumerate() {
        assert_eq!(order["total_cents"], number + 1);
    }
}

#[test]
fn all_orders_come_the_oldest_first() {
    let database = Database::new();
    let service = start(&database, &[]);
    let mut client = service.client();
    let empty = client.get(EXPORT);
    assert_eq!((empty.status, empty.body.len()), (200, 0), "{empty:?}");
    assert_eq!(empty.header("content-type"), Some("application/x-ndjson"));
    // One less than is fetched at once, as many, one more.
    for orders in [199, 200, 201] {
        database.sql().run("TRUNCATE orders");
        fill(&database, orders);
        client.send_request("GET", EXPORT, "", "");
        assert_all(&read_slowly(&mut client, Duration::ZERO), orders);
    }
    let id = create(&mut client, 1);
    client.send_request("GET", EXPORT, "", "");
    let last = read_slowly(&mut client, Duration::ZERO).pop().unwrap();
    assert_eq!(last, client.get(&format!("{ORDERS}/{id}")).json());
    service.stop();
}

#[test]
fn it_may_take_longer_than_another_request() {
    const ORDERS_IN_IT: usize = 30_000;
    let database = Database::new();
    let settings = [
        ("SERVER__REQUEST_TIMEOUT", "500ms"),
        ("ORDERS__MAX_EXPORTS", "1"),
    ];
    let service = start(&database, &settings);
    fill(&database, ORDERS_IN_IT);
    // Its first rows take longer than another answer may.
    let mut other = database.sql();
    other.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let mut client = service.client();
    let begun = Instant::now();
    client.send_request("GET", EXPORT, "", "");
    let detail = service.get(ORDERS).assert_problem(503);
    assert!(detail.contains("within 500ms"), "{detail}");
    thread::sleep(Duration::from_millis(500));
    // It is the only one that runs.
    let refused = service.get(EXPORT);
    let detail = refused.assert_problem(503);
    assert!(detail.contains("exports"), "{detail}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    other.run("ROLLBACK");

    // And so do the rest, which is more than the sockets hold.
    let orders = read_slowly(&mut client, Duration::from_millis(10));
    assert_all(&orders, ORDERS_IN_IT);
    assert!(begun.elapsed() > Duration::from_secs(2));
    eventually("the next one may run", || service.get(EXPORT).status == 200);
    service.stop();
}

/// Also where its connection to the database was opened by another thread than the one that serves it, which may
/// end first: the clients' connections go to the two threads in turn, and only those of one of them export.
#[test]
fn a_stop_waits_for_it() {
    const ORDERS_IN_IT: usize = 15_000;
    let database = Database::new();
    let settings = [
        ("DATABASE__MAX_CONNECTIONS", "8"),
        ("ORDERS__MAX_EXPORTS", "4"),
        ("SHUTDOWN__TIMEOUT", "1m"),
    ];
    let mut service = start(&database, &settings);
    fill(&database, ORDERS_IN_IT);
    let mut other = database.sql();
    other.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let mut clients: Vec<_> = (0..8).map(|_| service.client()).collect();
    for client in &mut clients {
        client.send_request("GET", &format!("{ORDERS}?limit=1"), "", "");
    }
    let busy = "orders_database_connections{state=\"busy\"}";
    eventually("each has one", || sample(&service, busy) == "8");
    other.run("ROLLBACK");
    for client in &mut clients {
        assert_eq!(client.read().status, 200);
    }
    let mut exporting: Vec<_> = clients.into_iter().step_by(2).collect();
    for client in &mut exporting {
        client.send_request("GET", EXPORT, "", "");
    }
    eventually("all four run", || sample(&service, busy) == "4");
    service.signal("TERM");
    let pause = Duration::from_millis(40);
    let readers = exporting
        .into_iter()
        .map(|mut client| thread::spawn(move || read_slowly(&mut client, pause)));
    for reader in readers.collect::<Vec<_>>() {
        assert_all(&reader.join().unwrap(), ORDERS_IN_IT);
    }
    assert_eq!(service.wait().code(), Some(0), "{:#?}", service.log());
}

/// A client that leaves leaves nothing behind.
#[test]
fn one_that_is_broken_off_gives_everything_back() {
    let database = Database::new();
    let settings = [
        ("ORDERS__MAX_EXPORTS", "1"),
        ("DATABASE__MAX_CONNECTIONS", "1"),
    ];
    let service = start(&database, &settings);
    fill(&database, 20_000);
    for _ in 0..3 {
        let mut client = service.client();
        client.send_request("GET", EXPORT, "", "");
        assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
        client.leave();
        eventually("free again", || {
            service.get(&format!("{ORDERS}?limit=1")).status == 200
        });
    }
    assert_eq!(service.get(EXPORT).status, 200);
    service.stop();
}
