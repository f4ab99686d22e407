//! Requests that no worker has read when the stop comes, and connections on which nothing has come.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_kit_transport::Options;

use crate::fixture::server::{Server, eventually};

use super::{HELLO, assert_last_answer, assert_lost, assert_nothing_is_lost, block};

/// A worker that answers one client at a time.
fn one_at_a_time() -> Server {
    Server::with(Options {
        workers: 1,
        max_connections: 1,
        ..Options::default()
    })
}

#[test]
fn a_request_in_the_kernels_queue_is_answered() {
    let server = one_at_a_time();
    // Silent, and yet all that the worker takes.
    let mut first = server.connect();
    let mut others: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send(HELLO);
    }
    thread::sleep(Duration::from_millis(50));
    assert_eq!(server.requests().len(), 0);
    assert_lost(&server, 5);
    server.stop.drain();
    let closing = server.begin_close();
    first.assert_closed();
    drop(first);
    for other in others {
        assert_last_answer(other, "hello");
    }
    closing.join().unwrap();
    assert_eq!(server.requests().len(), 5);
    assert_nothing_is_lost(&server);
}

#[test]
fn a_request_behind_a_busy_worker_is_answered() {
    let server = Server::start();
    let busy = block(&server);
    let mut others: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send(HELLO);
    }
    assert_lost(&server, 6);
    server.stop.drain();
    let closing = server.begin_close();
    thread::sleep(Duration::from_millis(100));
    assert!(!closing.is_finished());
    server.open_gate();
    closing.join().unwrap();
    assert_last_answer(busy, "blocked");
    for other in others {
        assert_last_answer(other, "hello");
    }
    assert_nothing_is_lost(&server);
}

#[test]
fn a_request_on_an_idle_connection_is_answered() {
    // The worker sees some before and some after it is told.
    for _ in 0..20 {
        let server = Server::start();
        let mut clients: Vec<_> = (0..5).map(|_| server.connect_idle()).collect();
        let mut idle = server.connect_idle();
        for client in &mut clients {
            client.send(HELLO);
        }
        server.close();
        for mut client in clients {
            assert_eq!(client.read().text(), "hello");
            client.assert_closed();
        }
        idle.assert_closed();
        drop(idle);
        assert_nothing_is_lost(&server);
    }
}

#[test]
fn a_request_on_an_idle_connection_of_a_busy_worker_is_answered() {
    let server = Server::start();
    let mut idle = server.connect_idle();
    let mut other = server.connect_idle();
    let busy = block(&server);
    other.send(HELLO);
    server.stop.drain();
    let closing = server.begin_close();
    closing.join().unwrap();
    assert_lost(&server, 2);
    server.open_gate();
    assert_last_answer(busy, "blocked");
    assert_last_answer(other, "hello");
    idle.assert_closed();
    assert_nothing_is_lost(&server);
}

#[test]
fn a_connection_on_which_nothing_has_come_is_waited_for_a_little() {
    // For less than a second, which a busy machine may need for what is done here.
    for _ in 0..20 {
        let start = Instant::now();
        let server = Server::start();
        let mut silent = server.connect();
        let mut late = server.connect();
        eventually("both are taken on", || server.stop.open() == 2);
        server.stop.drain();
        server.close();
        let _ = late.try_send(HELLO);
        if start.elapsed() < Duration::from_millis(900) {
            assert_last_answer(late, "hello");
            assert!(silent.is_cut_off());
            assert_nothing_is_lost(&server);
            return;
        }
    }
}
