//! The service as a process, and what is asked of it again and again.

use std::process::Command;

use berth_testkit::{Client, Process, Response, service};
use serde_json::{Value, json};

use crate::postgres::Database;

/// What the names of the variables begin with.
pub const PREFIX: &str = "ORDERS__";

pub const ORDERS: &str = "/api/v1/orders";

/// With these settings, such as `("PAYMENT__URL", "http://…")`.
pub fn command(settings: &[(&str, &str)]) -> Command {
    let named: Vec<_> = settings
        .iter()
        .map(|(key, value)| (format!("{PREFIX}{key}"), *value))
        .collect();
    let named: Vec<_> = named
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    service("orders", env!("CARGO_BIN_EXE_orders"), &named)
}

/// Starts one, and waits until it is ready.
pub fn start(database: &Database, settings: &[(&str, &str)]) -> Process {
    let own = [
        ("DATABASE__URL", database.url.as_str()),
        ("DATABASE__CHECK_INTERVAL", "50ms"),
        ("PAYMENT__POLL_INTERVAL", "20ms"),
    ];
    let mut service = Process::start(command(&[&own, settings].concat()));
    service.wait_until_ready();
    service
}

/// An order of so many nuts.
pub fn order(quantity: u32) -> Value {
    json!({
        "customer": "Ada",
        "items": [{ "sku": "NUT", "quantity": quantity, "price_cents": 5 }],
    })
}

const JSON: &str = "Content-Type: application/json\r\n";

pub fn send(client: &mut Client, method: &str, path: &str, headers: &str, body: &Value) {
    client.send_request(method, path, &format!("{JSON}{headers}"), &body.to_string());
}

pub fn post(client: &mut Client, headers: &str, body: &Value) -> Response {
    send(client, "POST", ORDERS, headers, body);
    client.read()
}

pub fn put(client: &mut Client, id: &str, headers: &str, body: &Value) -> Response {
    send(client, "PUT", &format!("{ORDERS}/{id}"), headers, body);
    client.read()
}

pub fn show(client: &mut Client, id: &str) -> Response {
    client.get(&format!("{ORDERS}/{id}"))
}

/// Makes one; gives its id.
#[track_caller]
pub fn create(client: &mut Client, quantity: u32) -> String {
    let answer = post(client, "", &order(quantity));
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer, "id")
}

pub fn text(answer: &Response, member: &str) -> String {
    answer.json()[member].as_str().unwrap().to_owned()
}

/// A sample of `/metrics`.
pub fn sample(service: &Process, series: &str) -> String {
    service.get("/metrics").sample(series).unwrap().to_owned()
}
