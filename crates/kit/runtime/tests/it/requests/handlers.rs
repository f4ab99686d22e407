//! Handlers that fail: by a timeout, and by a panic.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{process::Berth, telemetry::metrics::value};

#[test]
fn a_handler_over_its_time_is_a_503() {
    let server = Berth::debug(&[("BERTH__SERVER__REQUEST_TIMEOUT", "200ms")]);
    let mut client = server.client();
    let detail = client.get("/debug/delay/5s").assert_problem(503);
    assert!(detail.contains("200ms"), "{detail}");
    // The connection lives, and a handler within its time is left alone.
    assert_eq!(client.get("/debug/delay/10ms").status, 200);
}

#[test]
fn a_request_too_many_is_a_503_and_no_probe_is() {
    let server = Berth::debug(&[("BERTH__SERVER__MAX_IN_FLIGHT", "2")]);
    let mut busy = [server.client(), server.client()];
    for client in &mut busy {
        client.send("GET /debug/delay/2s HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    let mut client = server.client();
    let started = Instant::now();
    // Both are there.
    while !client
        .get("/metrics")
        .text()
        .contains("\napi_requests_in_flight 2\n")
    {
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let answer = client.get("/api/v1/hello");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    for target in ["/health", "/ready", "/metrics"] {
        assert_eq!(client.get(target).status, 200, "{target}");
    }
    let metrics = client.get("/metrics");
    let shed = "\napi_requests_shed_total{reason=\"in_flight\"} 1\n";
    assert!(metrics.text().contains(shed), "{}", metrics.text());
    // An answer makes room.
    for client in &mut busy {
        assert_eq!(client.read().status, 200);
    }
    assert_eq!(client.get("/api/v1/hello").status, 200);
}

#[test]
fn a_request_that_waits_for_its_client_is_not_in_flight() {
    let server = Berth::debug(&[("BERTH__SERVER__MAX_IN_FLIGHT", "1")]);
    let mut slow = server.client();
    slow.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab");
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.get("/api/v1/hello").status, 200);
        thread::sleep(Duration::from_millis(5));
    }
    slow.send("cd");
    assert_eq!(slow.read().text(), "abcd");
}
#[test]
fn an_adaptive_limit_refuses_where_requests_only_wait_for_each_other() {
    let server = Berth::debug(&[
        ("BERTH__SERVER__MAX_IN_FLIGHT", "auto"),
        ("BERTH__SERVER__WORKERS", "1"),
    ]);
    let mut client = server.client();
    let mut scrape = server.client();
    let mut limit = || value(scrape.get("/metrics").text(), "berth_max_in_flight");
    assert!((limit() - 32.0).abs() < 0.1);
    // Each alone, which is what is usual.
    for _ in 0..10 {
        assert_eq!(client.get("/debug/block/5ms").status, 200);
    }
    let is_over = AtomicBool::new(false);
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let mut client = server.client();
                while !is_over.load(Ordering::Relaxed) {
                    let is_refused = client.get("/debug/block/5ms").status == 503;
                    refused.fetch_add(usize::from(is_refused), Ordering::Relaxed);
                }
            });
        }
        let started = Instant::now();
        while limit() > 8.0 && started.elapsed() < Duration::from_mins(1) {}
        is_over.store(true, Ordering::Relaxed);
        assert!(started.elapsed() < Duration::from_mins(1));
    });
    assert!(refused.into_inner() > 0);
    // It rises again where nothing is refused.
    let low = limit();
    let started = Instant::now();
    while limit() <= low {
        assert_eq!(client.get("/debug/block/5ms").status, 200);
        assert!(started.elapsed() < Duration::from_mins(1));
    }
}

#[test]
fn a_panic_is_a_500_that_is_logged_and_counted() {
    let mut server = Berth::debug(&[]);
    let mut client = server.client();
    for _ in 0..3 {
        let detail = client.get("/debug/panic").assert_problem(500);
        assert!(
            !detail.contains("asked for"),
            "the cause is not the client's: {detail}"
        );
    }
    assert_eq!(client.get("/health").status, 200);
    let line = server.wait_for_log("panicked at");
    assert!(
        line.contains("ERROR") && line.contains("debug.rs") && line.contains("asked for"),
        "{line}"
    );
    let metrics = client.get("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("\nberth_panics_total 3\n"), "{metrics}");
    let counted = r#"api_requests_total{endpoint="/debug/panic",method="GET",status="500"} 3"#;
    assert!(metrics.contains(counted), "{metrics}");
    server.stop();
}
