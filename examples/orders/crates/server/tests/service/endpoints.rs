//! The endpoints, one by one.

use berth_testkit::{Process, eventually};
use serde_json::{Value, json};

use crate::{
    payments::{Behaviour, Payments},
    postgres::Database,
    process::{ORDERS, create, order, post, put, sample, send, show, start, text},
};

#[test]
fn an_order_is_made_read_changed_and_taken_back() {
    let database = Database::new();
    let service = start(&database, &[]);
    let mut client = service.client();

    let made = post(&mut client, "", &order(3));
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made, "id");
    assert_eq!(made.header("location"), Some(&*format!("{ORDERS}/{id}")));
    assert_eq!(made.header("etag"), Some("\"1\""));
    assert_eq!(made.header("content-type"), Some("application/json"));
    let body = made.json();
    assert_eq!(body["status"], "pending");
    assert_eq!(body["customer"], "Ada");
    assert_eq!(body["items"], order(3)["items"]);
    assert_eq!(body["total_cents"], 15);
    assert_eq!(body["version"], 1);
    let created = body["created_at"].as_str().unwrap();
    assert!(
        created.ends_with('Z') && created.as_bytes()[10] == b'T',
        "{created}"
    );

    let read = show(&mut client, &id);
    assert_eq!(read.status, 200);
    assert_eq!(read.json(), body);
    assert_eq!(read.header("etag"), Some("\"1\""));
    assert_eq!(
        client.request("HEAD", &format!("{ORDERS}/{id}"), "").status,
        200
    );

    let changed = put(&mut client, &id, "If-Match: \"1\"\r\n", &order(4));
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assert_eq!(changed.json()["total_cents"], 20);
    assert_eq!(changed.json()["created_at"], body["created_at"]);
    assert_eq!(show(&mut client, &id).json(), changed.json());

    let removed = client.request("DELETE", &format!("{ORDERS}/{id}"), "");
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    show(&mut client, &id).assert_problem(404);
    client
        .request("DELETE", &format!("{ORDERS}/{id}"), "")
        .assert_problem(404);
    put(&mut client, &id, "If-Match: *\r\n", &order(4)).assert_problem(404);
    assert_eq!(database.number("SELECT count(*) FROM orders"), 0);
    assert_eq!(sample(&service, "orders_created_total"), "1");
    service.stop();
}

#[test]
fn a_change_that_knows_an_old_version_is_refused() {
    let service = start(&Database::new(), &[]);
    let mut client = service.client();
    let id = create(&mut client, 1);
    for (headers, status) in [
        ("", 428),
        ("If-Match: 1\r\n", 400),
        ("If-Match: \"2\"\r\n", 412),
        ("If-Match: W/\"1\"\r\n", 412),
        ("If-Match: \"7\", \"1\"\r\n", 200),
        ("If-Match: \"1\"\r\n", 412),
        ("If-Match: *\r\n", 200),
    ] {
        let answer = put(&mut client, &id, headers, &order(2));
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
    }
    assert_eq!(show(&mut client, &id).json()["version"], 3);

    // Of many at once that have read the same version, one changes it.
    let winners: usize = std::thread::scope(|scope| {
        let change = |_| {
            scope.spawn(|| {
                let answer = put(&mut service.client(), &id, "If-Match: \"3\"\r\n", &order(5));
                assert!([200, 412].contains(&answer.status), "{answer:?}");
                usize::from(answer.status == 200)
            })
        };
        let threads: Vec<_> = (0..8).map(change).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(winners, 1);
    service.stop();
}

#[test]
fn what_is_confirmed_is_not_changed() {
    let payments = Payments::start(Behaviour::Answer(200));
    let service = start(&Database::new(), &[("PAYMENT__URL", &payments.url)]);
    let mut client = service.client();
    let id = create(&mut client, 1);
    eventually("confirmed", || {
        text(&show(&mut client, &id), "status") == "confirmed"
    });
    let detail = put(&mut client, &id, "If-Match: *\r\n", &order(2)).assert_problem(409);
    assert!(detail.contains("the order is confirmed"), "{detail}");
    client
        .request("DELETE", &format!("{ORDERS}/{id}"), "")
        .assert_problem(409);
    assert_eq!(show(&mut client, &id).json()["version"], 2);
    service.stop();
}

/// The pointers of what is wrong.
fn pointers(service: &Process, body: &Value) -> Vec<String> {
    let answer = post(&mut service.client(), "", body);
    answer.assert_problem(422);
    let errors = answer.json()["errors"].clone();
    let errors = errors.as_array().unwrap();
    let pointer = |error: &Value| {
        assert!(!error["detail"].as_str().unwrap().is_empty());
        error["pointer"].as_str().unwrap().to_owned()
    };
    errors.iter().map(pointer).collect()
}

#[test]
fn a_body_that_is_wrong_is_refused_with_every_fault() {
    let database = Database::new();
    let service = start(&database, &[]);
    let item = |sku: &str, quantity: i64, price: i64| json!({ "sku": sku, "quantity": quantity, "price_cents": price });
    let of = |customer: &str, items: Value| json!({ "customer": customer, "items": items });
    let good = item("NUT", 1, 1);
    for (body, expected) in [
        (of("", json!([good])), vec!["/customer"]),
        (of(&"é".repeat(65), json!([good])), vec!["/customer"]),
        (of("A\u{0}", json!([good])), vec!["/customer"]),
        (of("Ada", json!([])), vec!["/items"]),
        (of("Ada", json!(vec![good.clone(); 51])), vec!["/items"]),
        (of("Ada", json!([item("", 1, 1)])), vec!["/items/0/sku"]),
        (of("Ada", json!([item("é", 1, 1)])), vec!["/items/0/sku"]),
        (
            of("Ada", json!([good, item("A", 0, 10_000_001)])),
            vec!["/items/1/quantity", "/items/1/price_cents"],
        ),
        (
            of("", json!([item("A", 1001, 1)])),
            vec!["/customer", "/items/0/quantity"],
        ),
        (
            of("Ada", json!([item("A", -1, 1)])),
            vec!["/items/0/quantity"],
        ),
        (json!({ "customer": "Ada" }), vec![""]),
        (json!([]), vec![""]),
        (
            json!({ "customer": "Ada", "items": [good], "status": "confirmed" }),
            vec!["/status"],
        ),
    ] {
        let mut found = pointers(&service, &body);
        let mut expected = expected;
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{body}");
    }
    for good in [
        of(&"é".repeat(64), json!(vec![good.clone(); 50])),
        of("A", json!([item(&"x".repeat(32), 1000, 10_000_000)])),
    ] {
        let answer = post(&mut service.client(), "", &good);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let mut client = service.client();
    client.send_request("POST", ORDERS, "Content-Type: application/json\r\n", "{");
    client.read().assert_problem(400);
    client.send_request("POST", ORDERS, "", "{}");
    client.read().assert_problem(415);
    assert_eq!(database.number("SELECT count(*) FROM orders"), 2);

    let id = create(&mut client, 1);
    let answer = put(&mut client, &id, "If-Match: *\r\n", &of("", json!([])));
    answer.assert_problem(422);
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
    service.stop();
}

#[test]
fn what_is_not_there_is_said() {
    let service = start(&Database::new(), &[]);
    let mut client = service.client();
    let detail = show(&mut client, "00000000-0000-7000-8000-000000000000").assert_problem(404);
    assert!(detail.contains("no order 00000000"), "{detail}");
    let detail = show(&mut client, "7").assert_problem(404);
    assert!(detail.contains("UUID"), "{detail}");
    send(&mut client, "PATCH", ORDERS, "", &order(1));
    let refused = client.read();
    refused.assert_problem(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
    // Its body is not read, so the connection ends.
    assert_eq!(refused.header("connection"), Some("close"));
    let refused = service
        .client()
        .request("DELETE", &format!("{ORDERS}/export"), "");
    refused.assert_problem(404);
    service.stop();
}
