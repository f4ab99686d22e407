//! Clients that are too slow: with a head, with a body, and in reading their answer.

use std::{thread, time::Duration};

use berth_testkit::eventually;

use crate::process::Berth;

#[test]
fn a_client_that_trickles_its_headers_is_a_408() {
    let server = Berth::start(&[("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "300ms")]);
    let mut client = server.client();
    for byte in "GET /hea".bytes() {
        client.send([byte]);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.read().status, 408);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_trickles_its_body_is_a_408() {
    let server = Berth::debug(&[("BERTH__SERVER__REQUEST_TIMEOUT", "300ms")]);
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n");
    client.read().assert_problem(408);
    // The answer has begun: it can only be broken off.
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nx");
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    while !client.line().unwrap().is_empty() {}
    client.read_raw("1\r\nx\r\n".len());
    assert!(client.is_closed());
}

#[test]
fn a_client_that_trickles_a_later_head_is_left() {
    let server = Berth::start(&[
        ("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "300ms"),
        ("BERTH__SERVER__REQUEST_TIMEOUT", "300ms"),
    ]);
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    // In time, though in pieces.
    for piece in ["GET /health HT", "TP/1.1\r\nHost: t\r", "\n\r\n"] {
        client.send(piece);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.read().status, 200);
    // Longer between two requests than a head may take.
    thread::sleep(Duration::from_millis(600));
    assert_eq!(client.get("/health").status, 200);
    client.send("GET /hea");
    assert!(client.is_closed());
    // Empty lines before it are no head of their own.
    for begun in ["\r\n\r\n", "\n\nGET /hea"] {
        let mut client = server.client();
        assert_eq!(client.get("/health").status, 200);
        client.send(begun);
        assert!(client.is_closed(), "{begun:?}");
    }
}

#[test]
fn a_client_that_leaves_its_answer_unread_is_left() {
    let limits = [
        ("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "500ms"),
        ("BERTH__SERVER__REQUEST_TIMEOUT", "500ms"),
    ];
    let server = Berth::debug(&limits);
    let in_flight = || {
        let exposition = server.get("/metrics");
        exposition.sample("api_requests_in_flight") == Some("1")
    };
    let mut client = server.client();
    client.send("GET /debug/bytes/67108864 HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the answer begins", in_flight);
    eventually("it is given up", || !in_flight());

    // One that reads, however slowly, gets what it has asked for.
    let mut slow = server.client();
    slow.send("GET /debug/bytes/4000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    while !slow.line().unwrap().is_empty() {}
    for _ in 0..20 {
        slow.read_raw(200_000);
        thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(slow.get("/health").status, 200);
}
