//! How much the stop would lose, and has lost.

use std::{thread, time::Duration};

use crate::fixture::{
    routes::pattern,
    server::{Server, block_on, eventually},
};

use super::{HELLO, assert_last_answer, assert_lost, assert_nothing_is_lost, block};

#[test]
fn what_would_be_lost_is_counted_once_each() {
    let server = Server::start();
    assert_lost(&server, 0);
    let mut idle = server.connect_idle();
    assert_lost(&server, 0);

    let mut waits = server.connect();
    waits.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("a request is being answered", || server.stop.lost() == 1);

    let mut half = server.connect();
    half.send("GET /hello HT");
    eventually("half a head has come", || server.stop.lost() == 2);

    // More than the server reads ahead, so that some of it waits in the kernel.
    let mut uploads = server.connect();
    uploads.send("POST /reads-one-piece HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\n");
    uploads.send(pattern(400_000));
    eventually("the upload is being read", || server.counted() > 0);
    thread::sleep(Duration::from_millis(50));
    assert_lost(&server, 3);
    assert_eq!(server.stop.in_flight(), 3);
    assert_eq!(server.stop.open(), 4);

    half.send("TP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(half.read().text(), "hello");
    eventually("it has been answered", || server.stop.lost() == 2);
    server.open_gate();
    assert_eq!(waits.read().text(), "waited");
    assert_eq!(uploads.read().text(), "400000");
    idle.assert_open();
    eventually("all have been answered", || server.stop.lost() == 0);
}

#[test]
fn requests_behind_a_handler_that_does_not_return_are_counted() {
    let server = Server::start();
    let mut kept = server.connect_idle();
    let busy = block(&server);
    assert_lost(&server, 1);
    let mut queued = server.connect();
    queued.send(HELLO);
    assert_lost(&server, 2);
    kept.send(HELLO);
    assert_lost(&server, 3);
    // A connection on which nothing was sent loses nothing.
    let silent = server.connect();
    assert_lost(&server, 3);
    assert_eq!(server.stop.in_flight(), 1);
    server.stop.drain();
    block_on(server.stop.close(Duration::from_millis(300)));
    assert_lost(&server, 3);
    drop(silent);
    server.open_gate();
    for client in [kept, queued] {
        assert_last_answer(client, "hello");
    }
    drop(busy);
    assert_nothing_is_lost(&server);
}

#[test]
fn what_was_lost_is_counted_after_the_end() {
    let server = Server::start();
    let _idle = server.connect_idle();
    // Its client has the answer a moment before the server has noticed that.
    eventually("nothing is in flight", || server.stop.in_flight() == 0);
    let mut waits = server.connect();
    waits.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut half = server.connect();
    half.send("GET /hello HT");
    eventually("both are in flight", || server.stop.in_flight() == 2);
    server.stop.drain();
    server.close();
    let stop = std::sync::Arc::clone(&server.stop);
    server.stop_at_once();
    eventually("the workers have ended", || stop.open() == 0);
    assert_eq!(stop.lost(), 2);
    assert!(waits.is_cut_off());
    assert!(half.is_cut_off());
}

#[test]
fn requests_that_a_worker_has_not_read_when_it_ends_are_counted() {
    let server = Server::start();
    let mut kept: Vec<_> = (0..8).map(|_| server.connect_idle()).collect();
    let _busy = block(&server);
    for client in &mut kept {
        client.send(HELLO);
    }
    eventually("all have come", || server.stop.lost() == 9);
    server.stop.drain();
    let stop = std::sync::Arc::clone(&server.stop);
    let seen = std::sync::Arc::clone(&server.seen);
    // The worker hears of the end and has the requests to read at the same moment.
    let opens = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        seen.gate.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    server.stop_at_once();
    opens.join().unwrap();
    eventually("the worker has ended", || stop.open() == 0);
    let cut_off = kept
        .iter_mut()
        .filter_map(|client| client.is_cut_off().then_some(()));
    assert_eq!(stop.lost(), cut_off.count());
}
