//! How long a connection waits for its client.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use berth_kit_transport::Timeouts;

use crate::fixture::{
    routes::pattern,
    server::{DEADLINE, Server, eventually},
};

const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_mins(10);

/// All so long that no test waits for them.
fn long() -> Timeouts {
    Timeouts {
        head: LONG,
        keep_alive: Some(LONG),
        unread: Arc::new(|| LONG),
        upgraded: LONG,
    }
}

/// All so short that what they do not limit outlasts them.
fn short() -> Timeouts {
    Timeouts {
        head: SHORT,
        keep_alive: Some(SHORT),
        unread: Arc::new(|| SHORT),
        upgraded: SHORT,
    }
}

#[test]
fn a_later_head_that_is_late_ends_the_connection_without_an_answer() {
    let server = Server::with_timeouts(Timeouts {
        head: SHORT,
        ..long()
    });
    let mut client = server.connect_idle();
    let start = Instant::now();
    client.send("GET /hello HTTP/1.1\r\nHo");
    client.assert_closed();
    assert!(start.elapsed() >= SHORT);

    // The beginning may come along with the request before, which may have a body.
    for first in [
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(format!("{first}GET /hello HTTP/1.1\r\nHo"));
        assert_eq!(client.read().text(), "hello");
        client.assert_closed();
    }
    assert_eq!(server.refusals(), []);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let server = Server::with_timeouts(Timeouts {
        keep_alive: Some(SHORT),
        ..long()
    });
    let mut client = server.connect_idle();
    for _ in 0..3 {
        client.assert_open();
    }
    let start = Instant::now();
    client.assert_open();
    client.assert_closed();
    assert!(start.elapsed() >= SHORT);
    // Empty lines are not the beginning of a request.
    let mut client = server.connect_idle();
    client.send("\r\n");
    client.assert_closed();
}

#[test]
fn a_connection_is_kept_for_as_long_as_it_may_be() {
    let server = Server::with_timeouts(Timeouts {
        head: SHORT,
        ..long()
    });
    let mut client = server.connect_idle();
    let mut cut = server.connect_idle();
    // Longer than hyper is kept for an idle connection.
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1500));
        client.assert_open();
        cut.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Le");
        thread::sleep(SHORT / 20);
        cut.send("ngth: 5\r\n\r\nhel");
        thread::sleep(SHORT / 20);
        cut.send("lo");
        assert_eq!(cut.read().text(), "hello");
    }
}

#[test]
fn a_head_may_be_cut_in_the_middle_for_long() {
    let server = Server::with_timeouts(long());
    for first in [
        "",
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let mut client = server.connect();
        client.send(format!(
            "{first}POST /echo HTTP/1.1\r\nHost: t\r\nContent-Le"
        ));
        if !first.is_empty() {
            assert_eq!(client.read().text(), "hello");
        }
        thread::sleep(Duration::from_millis(1500));
        client.send("ngth: 5\r\n\r\nhello");
        assert_eq!(client.read().text(), "hello");
        client.assert_open();
    }
}

#[test]
fn without_keep_alive_each_connection_has_one_request() {
    let server = Server::with_timeouts(Timeouts {
        keep_alive: None,
        ..long()
    });
    for target in ["/hello", "/streamed/100000", "/empty/204"] {
        let mut client = server.connect();
        client.get(target).assert_closes(true);
        client.assert_closed();
    }
}

#[test]
fn a_handler_and_a_body_may_take_longer_than_any_timeout() {
    let server = Server::with_timeouts(short());
    let mut waits = server.connect();
    waits.send("GET /waits HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut streams = server.connect();
    streams.send("GET /stream-until-gate HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut uploads = server.connect();
    uploads.send("POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n1");
    let mut answered = server.connect();
    answered.send("POST /answers-while-reading HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n1");
    assert_eq!(answered.read().text(), "reading");
    for _ in 0..3 {
        thread::sleep(SHORT * 2);
        uploads.send("2");
        answered.send("2");
    }
    server.open_gate();
    assert_eq!(waits.read().text(), "waited");
    assert_eq!(streams.read().text(), "begun, end");
    assert_eq!(uploads.read().text(), "4");
    eventually("all of the body has been read", || server.counted() == 4);
}

#[test]
fn a_client_that_takes_none_of_its_answer_is_cut_off() {
    let server = Server::with_timeouts(Timeouts {
        unread: Arc::new(|| SHORT),
        ..long()
    });
    for target in ["/sized/67108864", "/streamed/67108864"] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
        eventually("its connection is open", || server.stop.open() == 1);
        eventually("its connection has ended", || server.stop.open() == 0);
        let rest = client.read_body(1 << 30);
        assert!(rest.len() < 64 << 20, "all of it came");
    }
}

#[test]
fn a_client_that_takes_its_answer_slowly_is_waited_for() {
    let server = Server::with_timeouts(Timeouts {
        unread: Arc::new(|| SHORT),
        ..long()
    });
    let mut client = server.connect();
    let size = 16 << 20;
    client.send(format!("GET /sized/{size} HTTP/1.1\r\nHost: t\r\n\r\n"));
    let start = Instant::now();
    let head = client.head().unwrap();
    assert_eq!(head.status, 200);
    // In all it takes longer than the client may take for any of it.
    let mut body = Vec::new();
    while body.len() < size {
        let piece = (size - body.len()).min(2 << 20);
        body.extend(client.read_exact(piece));
        thread::sleep(SHORT / 4);
    }
    assert!(body == pattern(size));
    assert!(start.elapsed() > SHORT && start.elapsed() < DEADLINE);
    client.assert_open();
}
