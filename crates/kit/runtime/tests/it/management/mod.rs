//! The management port.

mod faults;
mod hosts;
mod log_filter;
mod port;

use std::net::SocketAddr;

use berth_testkit::{Client, Response};

use crate::process::{Berth, berth};

/// A server with a management port, and that port's address.
fn start(environment: &[(&str, &str)]) -> (Berth, SocketAddr) {
    let mut command = berth(environment);
    command.env("BERTH__MANAGEMENT__PORT", "0");
    let mut server = Berth::spawn(command);
    let line = server.wait_for_log("management port on http://");
    let address = line.split("http://").nth(1).unwrap();
    let end = address.find('"').unwrap_or(address.len());
    let address = address[..end].parse().unwrap();
    (server, address)
}

fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).get(target)
}

fn put(address: SocketAddr, target: &str, body: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.read()
}

fn delete(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).request("DELETE", target, "")
}
