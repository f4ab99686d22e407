//! Start, drain, stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use berth_testkit::Client;

use crate::process::Berth;

/// Starts `count` requests that take `duration`, and returns when all are in a handler.
fn in_flight(server: &Berth, count: usize, duration: &str) -> Vec<Client> {
    let clients = (0..count)
        .map(|_| {
            let mut client = server.client();
            client.send(format!(
                "GET /debug/delay/{duration} HTTP/1.1\r\nHost: t\r\n\r\n"
            ));
            client
        })
        .collect();
    let gauge = format!("\napi_requests_in_flight {count}\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.get("/metrics").text().contains(&gauge) {
        assert!(Instant::now() < deadline, "the requests do not arrive");
        thread::sleep(Duration::from_millis(5));
    }
    clients
}

fn drains(signal: &str) {
    let mut server = Berth::debug(&[]);
    let mut idle: Vec<_> = (0..50)
        .map(|_| {
            let mut client = server.client();
            assert_eq!(client.get("/health").status, 200);
            client
        })
        .collect();
    let slow = in_flight(&server, 50, "2500ms");
    server.signal(signal);
    for mut client in slow {
        let response = client.read();
        assert_eq!(response.status, 200);
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.log());
    for client in &mut idle {
        assert!(client.is_closed());
    }
}

#[test]
fn sigterm_lets_50_requests_finish_and_closes_50_idle_connections() {
    drains("TERM");
}

#[test]
fn sigint_does_the_same() {
    drains("INT");
}

#[test]
fn during_the_drain_delay_everything_is_still_answered() {
    let mut server = Berth::debug(&[("BERTH__SHUTDOWN__DRAIN_DELAY", "1s")]);
    let mut kept = server.client();
    assert_eq!(kept.get("/ready").header("connection"), None);
    server.signal("TERM");
    server.wait_for_log("draining");

    let ready = server.get("/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.header("connection"), Some("close"));
    assert_eq!(ready.header("content-type"), Some("application/json"));
    assert_eq!(
        ready.text(),
        r#"{"status":"not ready","reason":"shutting down"}"#
    );

    let health = server.get("/health");
    assert_eq!(
        (health.status, health.header("connection")),
        (200, Some("close"))
    );
    assert!(server.get("/metrics").text().contains("\nberth_ready 0\n"));
    let error = server.get("/nowhere");
    assert_eq!(
        (error.status, error.header("connection")),
        (404, Some("close"))
    );
    // A connection from before the signal is told to go, too.
    let last = kept.get("/api/v1/hello");
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert!(kept.is_closed());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn requests_over_the_shutdown_timeout_are_cut_off_and_counted() {
    let mut server = Berth::debug(&[("BERTH__SHUTDOWN__TIMEOUT", "1s")]);
    let _slow = in_flight(&server, 3, "30s");
    let mut quick = in_flight_one_more(&server);
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(quick.read().status, 200);
    assert_eq!(server.wait().code(), Some(1));
    let took = start.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    let log = server.log();
    let line = log.iter().find(|line| line.contains("cut off")).unwrap();
    assert!(
        line.contains("ERROR") && line.contains("3 requests were cut off"),
        "{line}"
    );
    // They are in the access log like everything else.
    let aborted = log
        .iter()
        .filter(|line| line.contains("/debug/delay/30s") && line.contains("aborted"));
    assert_eq!(aborted.count(), 3, "{log:#?}");
}

fn in_flight_one_more(server: &Berth) -> Client {
    let mut client = server.client();
    client.send("GET /debug/delay/200ms HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    client
}

#[test]
fn a_client_that_leaves_during_the_drain_is_not_counted_as_cut_off() {
    let mut server = Berth::debug(&[("BERTH__SHUTDOWN__TIMEOUT", "3s")]);
    let mut slow = in_flight(&server, 2, "1s");
    server.signal("TERM");
    server.wait_for_log("stopping");
    drop(slow.pop());
    assert_eq!(slow.pop().unwrap().read().status, 200);
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.log());
}

#[test]
fn a_second_signal_stops_at_once() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
    ] {
        // Once while it still accepts, once in actix's own drain.
        for delay in ["20s", "0s"] {
            let mut server = Berth::debug(&[
                ("BERTH__SHUTDOWN__DRAIN_DELAY", delay),
                ("BERTH__SHUTDOWN__TIMEOUT", "20s"),
            ]);
            let _slow = in_flight(&server, 1, "30s");
            server.signal(first);
            server.wait_for_log(if delay == "0s" {
                "stopping;"
            } else {
                "draining"
            });
            let start = Instant::now();
            server.signal(second);
            assert_eq!(server.wait().code(), Some(code));
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }
}

#[test]
fn constant_load_sees_no_failure_before_the_drain_delay_is_over() {
    const DELAY: Duration = Duration::from_secs(3);
    let mut server = Berth::start(&[("BERTH__SHUTDOWN__DRAIN_DELAY", "3s")]);
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|i| {
            let (addr, stop) = (server.addr, Arc::clone(&stop));
            // Half of them keep their connections for as long as the server lets them.
            thread::spawn(move || one_client(addr, i % 2 == 0, &stop))
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    let signalled = Instant::now();
    thread::sleep(DELAY.checked_sub(Duration::from_millis(600)).unwrap());
    stop.store(true, Ordering::Relaxed);
    assert!(
        signalled.elapsed() < DELAY,
        "the machine is too slow for this test"
    );
    let requests: usize = load.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(requests > 500, "{requests} are no load");
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.log());
}

/// Sends one request after the other; every one has to end in a 200. Returns their number.
fn one_client(addr: std::net::SocketAddr, keep_alive: bool, stop: &AtomicBool) -> usize {
    let mut served = 0;
    let mut kept: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut client = kept.take().unwrap_or_else(|| Client::connect(addr));
        let response = client.get("/api/v1/hello");
        assert_eq!(response.status, 200);
        served += 1;
        if keep_alive && response.header("connection") != Some("close") {
            kept = Some(client);
        }
    }
    served
}

#[test]
fn an_idle_server_stops_quickly() {
    let mut server = Berth::start(&[]);
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(!server.is_running());
}
