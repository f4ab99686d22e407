//! The debug routes.

use std::time::{Duration, Instant};

use crate::process::Berth;

#[test]
fn they_are_off_by_default_and_warned_about_when_on() {
    let server = Berth::start(&[]);
    for path in [
        "delay/1ms",
        "block/1ms",
        "status/200",
        "bytes/1",
        "headers",
        "panic",
    ] {
        server.get(&format!("/debug/{path}")).assert_problem(404);
    }
    assert!(
        !server
            .stop()
            .iter()
            .any(|line| line.contains("debug.routes"))
    );
    let log = Berth::debug(&[]).stop();
    assert!(
        log.iter()
            .any(|line| line.contains("WARN") && line.contains("debug.routes is on"))
    );
}

#[test]
fn delay_waits_and_says_how_long() {
    let server = Berth::debug(&[]);
    let start = Instant::now();
    let response = server.get("/debug/delay/250ms");
    assert!(start.elapsed() >= Duration::from_millis(250));
    let waited = response.json()["waited"].as_str().unwrap().to_owned();
    let millis: u64 = waited.strip_suffix("ms").unwrap().parse().unwrap();
    assert!(millis >= 250, "{waited}");
    for bad in [
        "61s",
        "x",
        "5",
        "-1s",
        "1s%20x",
        "18446744073709551615s1000ms",
    ] {
        server
            .get(&format!("/debug/delay/{bad}"))
            .assert_problem(400);
    }
}

#[test]
fn block_holds_its_worker() {
    let server = Berth::debug(&[("BERTH__SERVER__WORKERS", "1")]);
    let mut other = server.client();
    let mut client = server.client();
    client.send("GET /debug/block/500ms HTTP/1.1\r\nHost: t\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    assert_eq!(other.get("/health").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.read().status, 200);
    for bad in ["11s", "x", "5"] {
        server
            .get(&format!("/debug/block/{bad}"))
            .assert_problem(400);
    }
}

#[test]
fn status_answers_any_method_with_any_status_from_200_to_599() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    for code in [
        200, 201, 204, 205, 299, 301, 304, 400, 418, 429, 499, 500, 503, 599,
    ] {
        for method in ["GET", "POST", "DELETE", "BREW"] {
            let response = client.request(method, &format!("/debug/status/{code}"), "");
            if code < 400 {
                assert_eq!(response.status, code);
            } else {
                response.assert_problem(code);
            }
        }
    }
    for bad in ["199", "600", "0", "x", "-200", "99999"] {
        client
            .get(&format!("/debug/status/{bad}"))
            .assert_problem(400);
    }
}

#[test]
fn bytes_streams_as_many_as_were_asked_for() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    for n in [0, 1, 65_536, 65_537, 10_000_000] {
        let response = client.get(&format!("/debug/bytes/{n}"));
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(
            response.header("content-length"),
            Some(n.to_string().as_str())
        );
        assert_eq!(response.body.len(), n);
    }
    for bad in ["67108865", "-1", "x", "1.5", "99999999999999999999"] {
        client
            .get(&format!("/debug/bytes/{bad}"))
            .assert_problem(400);
    }
}

#[test]
fn echo_answers_while_it_still_reads() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nfirst\r\n");
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    let mut headers = Vec::new();
    loop {
        let line = client.line().unwrap().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    assert!(headers.contains(&"content-type: application/octet-stream".to_owned()));
    assert!(headers.contains(&"x-content-type-options: nosniff".to_owned()));
    assert_eq!(client.read_raw(10), b"5\r\nfirst\r\n");
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(client.read_raw(16), b"6\r\nsecond\r\n0\r\n\r\n");
    // Both have come to their end, so the connection goes on.
    assert!(!headers.contains(&"connection: close".to_owned()));
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read().body, b"");
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.read().body, b"abc");
    client.get("/debug/echo").assert_problem(405);
}

#[test]
fn headers_shows_the_request_and_masks_secrets() {
    let server = Berth::debug(&[]);
    let response = server.client().request(
        "GET",
        "/debug/headers?q=1",
        "Authorization: Bearer s3cret\r\nCookie: id=s3cret\r\nX-Two: a\r\nX-Two: b\r\n",
    );
    assert!(!response.text().contains("s3cret"));
    let body = response.json();
    assert_eq!(body["method"], "GET");
    assert_eq!(body["target"], "/debug/headers?q=1");
    assert_eq!(body["version"], "HTTP/1.1");
    assert!(body["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    let headers = &body["headers"];
    assert_eq!(headers["authorization"][0], "********");
    assert_eq!(headers["cookie"][0], "********");
    assert_eq!(headers["x-two"], serde_json::json!(["a", "b"]));
}
