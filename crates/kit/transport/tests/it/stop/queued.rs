//! The stop: nothing that was sent before it is lost, and what would be is counted.

use std::{
    io::ErrorKind,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use berth_kit_transport::{Options, Timeouts};

use crate::fixture::{
    client::Client,
    routes::pattern,
    server::{Server, block_on, eventually},
};

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKS: &str =
    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

/// A worker that answers one client at a time.
fn one_at_a_time() -> Server {
    Server::with(Options {
        workers: 1,
        max_connections: 1,
        ..Options::default()
    })
}

/// Keeps the only worker busy until the gate opens.
fn block(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /blocks HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the worker is busy", || server.begun() == 1);
    client
}

/// Asserts that so much would be lost, now or once the kernel has delivered it.
#[track_caller]
fn assert_lost(server: &Server, lost: usize) {
    eventually("that much would be lost", || server.stop.lost() == lost);
}

#[track_caller]
fn assert_last_answer(mut client: Client, body: &str) {
    let answer = client.read();
    assert_eq!(answer.text(), body);
    answer.assert_closes(true);
    client.assert_closed();
}

/// Asserts that the last connections end, and that nothing was lost.
#[track_caller]
fn assert_nothing_is_lost(server: &Server) {
    eventually("no connection is open", || server.stop.open() == 0);
    assert_eq!(server.stop.in_flight(), 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_server_without_connections_stops() {
    let mut server = Server::start();
    server.stop.drain();
    server.close();
    server.finish();
    assert_nothing_is_lost(&server);
}

#[test]
fn from_the_drain_on_each_answer_is_the_last_on_its_connection() {
    let server = Server::start();
    let mut idle = server.connect_idle();
    server.stop.drain();
    // New connections are still accepted.
    for target in ["/hello", "/streamed/100000", "/empty/204", "/nowhere"] {
        let mut client = server.connect();
        client.get(target).assert_closes(true);
        client.assert_closed();
    }
    idle.send(HELLO);
    assert_last_answer(idle, "hello");
    let mut old = server.connect();
    old.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = old.read();
    assert_eq!(answer.text(), "hello");
    assert_ne!(answer.header("connection"), Some("keep-alive"));
    old.assert_closed();
    server.close();
    assert_nothing_is_lost(&server);
}

#[test]
fn a_request_in_the_kernels_queue_is_answered() {
    let server = one_at_a_time();
    // Idle, and yet all that the worker takes.
    let mut first = server.connect_idle();
    let mut others: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send(HELLO);
    }
    thread::sleep(Duration::from_millis(50));
    assert_eq!(server.requests().len(), 1);
    assert_lost(&server, 5);
    server.stop.drain();
    let closing = server.begin_close();
    first.assert_closed();
    drop(first);
    for other in others {
        assert_last_answer(other, "hello");
    }
    closing.join().unwrap();
    assert_eq!(server.requests().len(), 6);
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

#[test]
fn a_closed_listener_takes_no_connection() {
    let mut server = Server::start();
    server.stop.drain();
    server.close();
    let attempt = TcpStream::connect_timeout(&server.address, Duration::from_millis(300));
    let error = attempt.unwrap_err().kind();
    assert!(
        [ErrorKind::TimedOut, ErrorKind::ConnectionRefused].contains(&error),
        "{error}"
    );
    server.finish();
    let error = TcpStream::connect(server.address).unwrap_err().kind();
    assert_eq!(error, ErrorKind::ConnectionRefused);
}

#[test]
fn connections_that_are_made_during_the_stop_are_answered_or_refused() {
    let server = Server::with(Options {
        workers: 2,
        ..Options::default()
    });
    let address = server.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut answered = 0;
                loop {
                    let timeout = Duration::from_millis(500);
                    let Ok(stream) = TcpStream::connect_timeout(&address, timeout) else {
                        return answered;
                    };
                    let mut client = Client::from(stream);
                    client.send(HELLO);
                    assert_eq!(client.read().text(), "hello");
                    answered += 1;
                }
            })
        })
        .collect();
    eventually("there is some load", || server.requests().len() > 50);
    server.stop.drain();
    server.close();
    let answered: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert_eq!(server.requests().len(), answered);
    assert_nothing_is_lost(&server);
}

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
fn a_signal_tells_of_the_stop_from_its_first_moment_on() {
    let server = Server::start();
    let signal = server.stop.signal();
    assert!(!signal.is_requested());
    let waiting = signal.clone();
    let waiter = thread::spawn(move || block_on(waiting.requested()));
    thread::sleep(Duration::from_millis(50));
    assert!(!waiter.is_finished());
    server.stop.drain();
    waiter.join().unwrap();
    assert!(signal.is_requested());
    block_on(signal.requested());
}
