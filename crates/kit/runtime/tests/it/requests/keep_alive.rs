//! Connections that are kept alive: closed when they have been idle for long enough, and not before.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::Client;

use crate::process::Berth;

use super::MOMENT;

#[test]
fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let keep_alive = Duration::from_secs(2);
    let server = Berth::start(&[("BERTH__SERVER__KEEP_ALIVE", "2s")]);
    // One that is used now and then stays.
    let mut busy = server.client();
    for _ in 0..20 {
        assert_eq!(busy.get("/health").status, 200);
        thread::sleep(keep_alive / 10);
    }
    let mut idle = server.client();
    assert_eq!(idle.get("/health").status, 200);
    // It may be idle a moment before the client has its answer.
    let last = Instant::now();
    assert_eq!(idle.get("/health").status, 200);
    assert!(idle.is_closed());
    assert!(last.elapsed() >= keep_alive, "{:?}", last.elapsed());

    let server = Berth::start(&[("BERTH__SERVER__KEEP_ALIVE", "0s")]);
    let mut client = server.client();
    let answer = client.get("/health");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a_connection_is_not_idle_while_a_request_is_in_flight() {
    let pause = Duration::from_millis(1200);
    let server = Berth::debug(&[("BERTH__SERVER__KEEP_ALIVE", "400ms")]);

    // The handler takes its time.
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/debug/delay/1200ms").status, 200);
    assert!(client.is_closed());

    // The client takes its time for the body, once it may send it.
    let mut client = server.client();
    client.send(
        "POST /debug/echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    assert_eq!(client.line().unwrap(), "HTTP/1.1 100 Continue");
    assert_eq!(client.line().unwrap(), "");
    thread::sleep(pause);
    client.send("body");
    assert_eq!(client.read().text(), "body");
    assert!(client.is_closed());

    // And amid the body, when the answer has begun.
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo");
    thread::sleep(pause);
    client.send("dy");
    assert_eq!(client.read().text(), "body");
    assert!(client.is_closed());

    // The client takes its time to read the answer.
    let mut client = server.client();
    client.send("GET /debug/bytes/8000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(pause);
    assert_eq!(client.read().body.len(), 8_000_000);
    assert!(client.is_closed());
}

#[test]
fn a_connection_goes_on_after_a_moment_without_a_request() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    let pause = |client: &mut Client| {
        thread::sleep(MOMENT);
        assert_eq!(client.get("/health").status, 200);
        thread::sleep(MOMENT);
    };
    pause(&mut client);
    // With a body that comes later, when it is asked for.
    client.send(
        "POST /debug/echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    assert_eq!(client.line().unwrap(), "HTTP/1.1 100 Continue");
    assert_eq!(client.line().unwrap(), "");
    thread::sleep(MOMENT);
    client.send("body");
    assert_eq!(client.read().text(), "body");
    pause(&mut client);
    // In several pieces, two at once, with a body, and with one that comes later.
    for piece in ["GET /health HT", "TP/1.1\r\nHost: t\r", "\n\r\n"] {
        client.send(piece);
        thread::sleep(MOMENT / 4);
    }
    assert_eq!(client.read().status, 200);
    pause(&mut client);
    client.send(
        "GET /ready HTTP/1.1\r\nHost: t\r\n\r\nGET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    assert_eq!(client.read().status, 200);
    assert_eq!(client.read().status, 418);
    pause(&mut client);
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.read().text(), "body");
    pause(&mut client);
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n");
    thread::sleep(MOMENT);
    client.send("body");
    assert_eq!(client.read().text(), "body");
    pause(&mut client);
    // A head larger than what is read at a time, and one that is too large.
    let fill = format!("X-Fill: {}\r\n", "x".repeat(10_000));
    assert_eq!(client.request("GET", "/health", &fill).status, 200);
    pause(&mut client);
    let fill = format!("X-Fill: {}\r\n", "x".repeat(200_000));
    let _ = client.try_send(format!("GET /health HTTP/1.1\r\nHost: t\r\n{fill}\r\n"));
    assert_eq!(client.read().status, 431);
}

/// Beside many busy connections, each has its own framing.
#[test]
fn a_connection_goes_on_beside_many_busy_ones() {
    let keep_alive = Duration::from_secs(1);
    let server = Berth::debug(&[
        ("BERTH__SERVER__WORKERS", "1"),
        ("BERTH__SERVER__KEEP_ALIVE", "1s"),
    ]);
    let mut others: Vec<_> = (0..150).map(|_| server.client()).collect();
    for other in &mut others {
        other.send("GET /debug/delay/6s HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    thread::sleep(MOMENT);
    let begun = Instant::now();
    let other = "GET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n";
    let large = "GET /debug/bytes/1000000 HTTP/1.1\r\nHost: t\r\n\r\n";
    let (half, rest) = ("GET /health HT", "TP/1.1\r\nHost: t\r\n\r\n");
    let length = other.len();
    let echo = format!("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    let later = format!("POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    // Many pipelined requests.
    let slow = "GET /debug/delay/100ms HTTP/1.1\r\nHost: t\r\n\r\n";
    let many = format!("{slow}{}{slow}{other}", other.repeat(300));
    let all = [vec![200], vec![418; 300], vec![200, 418]].concat();
    // What a client sends, and the status of each answer to it.
    for conversation in [
        vec![(many, all), (other.to_owned(), vec![418])],
        vec![(other.to_owned(), vec![418]), (other.to_owned(), vec![418])],
        vec![(half.to_owned(), vec![]), (rest.to_owned(), vec![200])],
        vec![
            (other.to_owned(), vec![418]),
            (half.to_owned(), vec![]),
            (rest.to_owned(), vec![200]),
        ],
        vec![
            (format!("{other}{other}{half}"), vec![418, 418]),
            (rest.to_owned(), vec![200]),
        ],
        vec![(large.to_owned(), vec![200]), (other.to_owned(), vec![418])],
        vec![
            (large.to_owned(), vec![]),
            (other.to_owned(), vec![200, 418]),
        ],
        vec![
            (format!("{echo}{other}"), vec![200]),
            (other.to_owned(), vec![418]),
        ],
        vec![
            (other.to_owned(), vec![418]),
            (echo.clone(), vec![]),
            (other.to_owned(), vec![200]),
        ],
        vec![
            (format!("{echo}{other}{half}"), vec![200]),
            (rest.to_owned(), vec![200]),
        ],
        // A body that nothing reads is no request, either.
        vec![(later.clone(), vec![405]), (other.to_owned(), vec![])],
    ] {
        let mut client = server.client();
        for (part, statuses) in &conversation {
            thread::sleep(Duration::from_millis(20));
            client.send(part);
            for status in statuses {
                assert_eq!(
                    client.read().status,
                    *status,
                    "{part:?} of {conversation:?}"
                );
            }
        }
        if conversation[0].0 == later {
            assert!(client.is_closed());
        }
    }
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    let last = Instant::now();
    assert!(client.is_closed());
    assert!(last.elapsed() >= keep_alive, "{:?}", last.elapsed());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "the others may have gone"
    );
    for other in &mut others {
        assert_eq!(other.read().status, 200);
    }
}
