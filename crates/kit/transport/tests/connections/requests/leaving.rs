//! Clients that send no more, and clients that break the connection.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::fixture::{
    routes::pattern,
    server::{Server, eventually},
};

#[test]
fn a_client_that_says_it_sends_no_more_gets_all_its_answers() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "GET /waits HTTP/1.1\r\nHost: t\r\n\r\n\
         GET /streamed/4000000 HTTP/1.1\r\nHost: t\r\n\r\n\
         POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
    );
    client.finish_sending();
    eventually("the first is being answered", || server.begun() == 1);
    server.open_gate();
    assert_eq!(client.read().text(), "waited");
    assert!(client.read().body == pattern(4_000_000));
    assert_eq!(client.read().text(), "5");
    client.assert_closed();
}

#[test]
fn a_client_that_breaks_the_connection_is_not_worked_for_any_longer() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it is being answered", || server.begun() == 1);
    assert_eq!(server.ended(), 0);
    client.reset();
    eventually("its handler has been dropped", || server.ended() == 1);
    eventually("its connection is told of", || server.freed() > 0);
    assert_eq!(server.stop.open(), 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_client_that_breaks_the_connection_does_so_for_a_stream_and_an_upload() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /stream-until-gate HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it is being answered", || server.begun() == 1);
    client.reset();
    eventually("its body has been dropped", || server.ended() == 1);

    let mut client = server.connect();
    client.send("POST /reads-one-piece HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc");
    eventually("it is being read", || server.counted() == 3);
    client.reset();
    eventually("its handler has been dropped", || server.ended() == 2);
}

/// Longer than the server looks away.
#[test]
fn a_client_that_says_it_sends_no_more_may_wait_for_long() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    client.finish_sending();
    eventually("it is being answered", || server.begun() == 1);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(server.ended(), 0);
    server.open_gate();
    assert_eq!(client.read().text(), "waited");
    client.assert_closed();
}

/// What has come before is not read meanwhile, and stands before the break.
#[test]
fn a_break_is_seen_behind_what_has_come_before_it() {
    let get = "GET /waits HTTP/1.1\r\nHost: t\r\n\r\n";
    // More than is read ahead.
    let upload = format!(
        "POST /waits HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n{:60000}",
        ""
    );
    for (request, then, finishes) in [
        (get, "", true),
        (get, get, false),
        (get, get, true),
        (&upload, "", false),
        (&upload, get, true),
    ] {
        let server = Server::start();
        let mut client = server.connect();
        client.send(request);
        eventually("it is being answered", || server.begun() == 1);
        client.send(then);
        if finishes {
            client.finish_sending();
        }
        // The server is told of all that, and then of nothing for a while.
        thread::sleep(Duration::from_millis(300));
        assert_eq!(server.ended(), 0);
        client.reset();
        let start = Instant::now();
        let case = format!("{} bytes, then {}, {finishes}", request.len(), then.len());
        eventually(&format!("the handler has been dropped: {case}"), || {
            server.ended() == 1
        });
        // A look a second, and what a busy machine takes.
        assert!(start.elapsed() < Duration::from_secs(4), "{case}");
        eventually("its connection is told of", || server.stop.open() == 0);
        assert_eq!(server.begun(), 1, "{case}");
    }
}
