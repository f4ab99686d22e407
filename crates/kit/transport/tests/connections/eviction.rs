//! Connections that are closed for others.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use berth_kit_memory::{Budget, Limit};
use berth_kit_transport::{Eviction, Options, ProxyProtocol};

use crate::fixture::server::{DEADLINE, Server, eventually};

fn at_most(max_connections: usize) -> Server {
    Server::with(Options {
        max_connections,
        ..Options::default()
    })
}

/// A server in a process that uses more than it may.
fn without_memory() -> Server {
    Server::with(Options {
        memory: Budget::new(Limit::Bytes(1)).map(Arc::new),
        ..Options::default()
    })
}

#[test]
fn at_the_limit_who_has_been_idle_longest_makes_room() {
    let server = at_most(4);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect_idle()).collect();
    // The first is of use once more.
    assert_eq!(clients[0].get("/hello").text(), "hello");
    let start = Instant::now();
    let mut fourth = server.connect_idle();
    assert!(start.elapsed() < Duration::from_millis(500));
    clients[1].assert_closed();
    for at in [0, 2] {
        assert_eq!(clients[at].get("/hello").text(), "hello");
    }
    assert_eq!(fourth.get("/hello").text(), "hello");
    assert_eq!(server.evictions(), [Eviction::Connections]);
}

#[test]
fn a_hundred_clients_are_served_with_one_connection_at_a_time() {
    let server = at_most(1);
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.read().text(), "hello");
    }
}

#[test]
fn who_is_being_answered_is_not_closed_for_others() {
    let server = at_most(1);
    let mut busy = server.connect();
    busy.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the handler runs", || server.begun() == 1);
    let mut other = server.connect();
    other.send("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(server.requests().len(), 1);
    server.open_gate();
    assert_eq!(busy.read().status, 200);
    assert_eq!(other.read().text(), "hello");
    busy.assert_closed();
}

#[test]
fn who_sends_nothing_makes_room_after_a_while() {
    let server = at_most(1);
    let mut silent = server.connect();
    let start = Instant::now();
    let mut other = server.connect_idle();
    assert!(start.elapsed() >= Duration::from_millis(250) && start.elapsed() < DEADLINE / 4);
    silent.assert_closed();
    assert_eq!(other.get("/hello").text(), "hello");
}

#[test]
fn without_memory_who_waits_or_keeps_us_waiting_is_closed() {
    let server = without_memory();
    let mut silent = server.connect();
    let mut idle = server.connect();
    idle.send("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(idle.read().text(), "hello");
    // It takes nothing of its answer.
    let mut unread = server.connect();
    unread.send("GET /sized/100000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("all are closed", || server.evictions().len() == 3);
    assert_eq!(server.evictions(), [Eviction::Memory; 3]);
    silent.assert_closed();
    idle.assert_closed();
    assert!(unread.rest().is_err());
    eventually("none is open", || server.stop.open() == 0);
    // Who is quick is served.
    let mut quick = server.connect();
    assert_eq!(quick.get("/hello").text(), "hello");
}

#[test]
fn without_memory_half_a_head_is_refused() {
    let server = without_memory();
    let mut client = server.connect();
    client.send("GET /hello HTTP/1.1\r\nHo");
    assert_eq!(client.read().status, 503);
    client.assert_closed();
    assert_eq!(server.refusals(), [(503, client.address())]);
}

#[test]
fn without_memory_a_large_head_is_refused_as_it_comes() {
    let server = without_memory();
    let mut client = server.connect();
    let large = "x".repeat(20_000);
    client.send(format!(
        "GET /hello HTTP/1.1\r\nHost: t\r\nX-Large: {large}"
    ));
    assert_eq!(client.read().status, 503);
    client.assert_closed();
    assert_eq!(server.refusals(), [(503, client.address())]);
}

#[test]
fn who_has_had_the_last_answer_makes_room_soon() {
    let server = at_most(1);
    let mut first = server.connect();
    first.send("GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!(first.read().text(), "hello");
    // It does not close, and the server would wait a second for it.
    let start = Instant::now();
    server.connect_idle();
    assert!(start.elapsed() < Duration::from_millis(500));
    first.assert_closed();
}

#[test]
fn without_memory_a_body_that_nobody_reads_is_no_request() {
    let server = Server::with(Options {
        memory: Budget::new(Limit::Bytes(1)).map(Arc::new),
        // So that the request is there when HTTP begins: no time has been waited for then.
        proxy_protocol: Some(ProxyProtocol::from_peers(|_| true)),
        ..Options::default()
    });
    let hidden = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
    let length = hidden.len();
    let mut client = server.connect();
    client.send(format!(
        "PROXY UNKNOWN\r\nPOST /waits HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{hidden}"
    ));
    eventually("the handler runs", || server.begun() == 1);
    thread::sleep(Duration::from_millis(50));
    server.open_gate();
    assert_eq!(client.read().status, 200);
    client.assert_closed();
    assert_eq!(server.requests(), ["POST /waits"]);
}
