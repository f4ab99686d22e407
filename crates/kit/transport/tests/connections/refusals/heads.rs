//! Heads that are late, too large, or not of HTTP/1.

use std::time::{Duration, Instant};

use berth_kit_transport::Timeouts;

use crate::fixture::server::{DEADLINE, Server, eventually};

use super::{assert_refused, length, refused};

fn quick_head() -> Timeouts {
    Timeouts {
        head: Duration::from_millis(300),
        ..Timeouts::default()
    }
}

#[test]
fn a_silent_client_gets_408() {
    let server = Server::with_timeouts(quick_head());
    let start = Instant::now();
    refused(&server, "", 408);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn half_a_head_gets_408() {
    let server = Server::with_timeouts(quick_head());
    refused(&server, "GET /hello HTTP/1.1\r\nHost: t\r\n", 408);
    // Nor does it help to go on a little.
    let mut client = server.connect();
    let start = Instant::now();
    client.send("GET /hello HTTP/1.1\r\n");
    while client.try_send("X: y\r\n").is_ok() && start.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.read().status, 408);
    assert!(start.elapsed() < DEADLINE);
    eventually("both are told of", || server.refusals().len() == 2);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn too_many_headers_get_431() {
    let server = Server::start();
    let head = |headers: usize| {
        let headers = "X: y\r\n".repeat(headers - 1);
        format!("GET /hello HTTP/1.1\r\nHost: t\r\n{headers}\r\n")
    };
    let mut client = server.connect();
    client.send(head(96));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    for headers in [97, 100, 101, 200, 5000] {
        refused(&server, head(headers), 431);
    }
}

#[test]
fn too_large_headers_get_431() {
    let server = Server::start();
    let head = |length: usize| {
        let value = "y".repeat(length);
        format!("GET /hello HTTP/1.1\r\nHost: t\r\nX: {value}\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(head(100_000));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    refused(&server, head(140_000), 431);
    refused(
        &server,
        format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(30_000)),
        431,
    );
}

#[test]
fn too_long_targets_get_414() {
    let server = Server::start();
    let head = |length: usize| {
        let query = "y".repeat(length);
        format!("GET /hello?{query} HTTP/1.1\r\nHost: t\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(head(60_000));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    for length in [70_000, 200_000] {
        refused(&server, head(length), 414);
        refused(&server, head(length).replace("GET", "POST"), 414);
    }
}

#[test]
fn later_requests_are_refused_with_the_same_statuses() {
    let server = Server::start();
    let long = "y".repeat(200_000);
    let many = "X: y\r\n".repeat(100);
    let cases = [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n")),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\nX: {long}\r\n\r\n"),
        ),
        (431, format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n")),
        (413, length("18446744073709551615")),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, "what is this?\r\n\r\n".to_owned()),
    ];
    let firsts = [
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    for (status, bytes) in &cases {
        for first in firsts {
            for is_pipelined in [false, true] {
                let mut client = server.connect();
                if is_pipelined {
                    let _ = client.try_send([first, bytes].concat());
                    assert_eq!(client.read().text(), "hello");
                } else {
                    client.send(first);
                    assert_eq!(client.read().text(), "hello");
                    let _ = client.try_send(bytes);
                }
                assert_refused(&server, &mut client, *status);
            }
        }
    }
}

#[test]
fn other_hosts_than_one_name_or_address_get_400() {
    let server = Server::start();
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b/c\r\n",
        "Host: a b\r\n",
        "Host: a/c\r\n",
        "Host: user@x\r\n",
        "Host: a, b\r\n",
        "Host: caf\u{e9}\r\n",
    ] {
        refused(&server, format!("GET / HTTP/1.1\r\n{hosts}\r\n"), 400);
    }
    assert_eq!(server.requests(), [""; 0]);
    for host in ["", "a", "a.b:80", "127.0.0.1", "[::1]:8080", "a_b"] {
        let mut client = server.connect();
        client.send(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.read().status, 200, "{host:?}");
    }
}

#[test]
fn what_is_not_http_1_gets_400() {
    let server = Server::start();
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and so on",
        b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\n a: folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nspace : before\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\na: \0\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GE(T / HTTP/1.1\r\nHost: t\r\n\r\n",
    ] {
        refused(&server, bytes, 400);
    }
    assert_eq!(server.requests(), [""; 0]);
}
