//! Requests that are in flight when the stop comes: half a head, a body, an answer.

use std::{thread, time::Duration};

use berth_kit_transport::Timeouts;

use crate::fixture::{
    routes::pattern,
    server::{Server, eventually},
};

use super::{HELLO, assert_last_answer, assert_lost, assert_nothing_is_lost};

const POST: &str = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKS: &str =
    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

#[test]
fn half_a_head_is_waited_for() {
    let server = Server::start();
    let mut fresh = server.connect();
    let mut kept = server.connect_idle();
    for client in [&mut fresh, &mut kept] {
        client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Le");
    }
    eventually("both have begun", || server.stop.in_flight() == 2);
    server.stop.drain();
    server.close();
    assert_lost(&server, 2);
    // Longer than one on which nothing has come.
    thread::sleep(Duration::from_millis(1200));
    for mut client in [fresh, kept] {
        client.send("ngth: 5\r\n\r\nhel");
        thread::sleep(Duration::from_millis(20));
        client.send("lo");
        assert_last_answer(client, "hello");
    }
    assert_nothing_is_lost(&server);
}

#[test]
fn half_a_head_that_came_with_another_request_is_waited_for() {
    for first in [HELLO, POST, CHUNKS] {
        let server = Server::start();
        let mut client = server.connect();
        client.send(format!(
            "{first}POST /echo HTTP/1.1\r\nHost: t\r\nContent-Le"
        ));
        assert_eq!(client.read().text(), "hello");
        eventually("the second has begun", || server.stop.in_flight() == 1);
        server.stop.drain();
        server.close();
        assert_lost(&server, 1);
        thread::sleep(Duration::from_millis(50));
        client.send("ngth: 5\r\n\r\nhello");
        assert_last_answer(client, "hello");
        assert_nothing_is_lost(&server);
    }
}

#[test]
fn half_a_head_is_not_waited_for_longer_than_it_may_take() {
    let server = Server::with_timeouts(Timeouts {
        head: Duration::from_millis(300),
        ..Timeouts::default()
    });
    let mut fresh = server.connect();
    let mut kept = server.connect_idle();
    for client in [&mut fresh, &mut kept] {
        client.send("GET /hello HTTP/1.1\r\nHo");
    }
    eventually("one has begun at least", || server.stop.in_flight() > 0);
    server.stop.drain();
    server.close();
    assert_eq!(fresh.read().status, 408);
    fresh.assert_closed();
    kept.assert_closed();
    assert_nothing_is_lost(&server);
}

#[test]
fn what_is_being_answered_is_finished() {
    let server = Server::start();
    let mut waits = server.connect();
    waits.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut streams = server.connect();
    streams.send("GET /stream-until-gate HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut uploads = server.connect();
    uploads.send("POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello");
    eventually("all are in flight", || server.stop.in_flight() == 3);
    eventually("two have begun", || server.begun() == 2);
    server.stop.drain();
    server.close();
    assert_eq!(server.stop.in_flight(), 3);
    uploads.send("hello");
    assert_last_answer(uploads, "10");
    server.open_gate();
    assert_last_answer(waits, "waited");
    assert_eq!(streams.read().text(), "begun, end");
    assert_nothing_is_lost(&server);
}

#[test]
fn an_answer_that_is_not_read_yet_is_finished() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /sized/8388608 HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(head.status, 200);
    server.stop.drain();
    server.close();
    assert_eq!(server.stop.in_flight(), 1);
    assert_lost(&server, 1);
    assert!(client.read_exact(8 << 20) == pattern(8 << 20));
    client.assert_closed();
    assert_nothing_is_lost(&server);
}
