//! The bodies of requests: too large, broken, late, and not read.

use std::{thread, time::Duration};

use crate::process::Berth;

use super::MOMENT;

#[test]
fn a_body_over_the_limit_is_a_413() {
    let server = Berth::debug(&[("BERTH__SERVER__MAX_BODY_BYTES", "1000")]);
    let post = |headers: &str, body: &str| {
        let mut client = server.client();
        client.send(format!(
            "POST /debug/echo HTTP/1.1\r\nHost: t\r\n{headers}\r\n{body}"
        ));
        client.read()
    };
    let full = "x".repeat(1000);
    let over = "x".repeat(1001);
    assert_eq!(
        post("Content-Length: 1000\r\n", &full).body,
        full.as_bytes()
    );
    let detail = post("Content-Length: 1001\r\n", &over).assert_problem(413);
    assert!(detail.contains("1000 bytes"), "{detail}");
    // Refused on its announcement alone.
    post("Content-Length: 18446744073709551615\r\n", "").assert_problem(413);
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(
        post("Transfer-Encoding: chunked\r\n", &chunk(&full)).status,
        200
    );
    post("Transfer-Encoding: chunked\r\n", &chunk(&over)).assert_problem(413);
    // Wherever it is sent, and whether or not anybody would read it.
    let mut client = server.client();
    client.send(format!(
        "POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n{over}"
    ));
    client.read().assert_problem(413);
}

#[test]
fn a_body_over_the_limit_that_is_already_being_answered_is_broken_off() {
    let server = Berth::debug(&[("BERTH__SERVER__MAX_BODY_BYTES", "1000")]);
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    while !client.line().unwrap().is_empty() {}
    assert_eq!(client.line().unwrap(), "3E8");
    client.read_raw(1002);
    client.send("1\r\nx\r\n0\r\n\r\n");
    // No last chunk: the client can tell that this is not all.
    assert!(client.is_closed());
}

#[test]
fn a_broken_body_is_a_400_as_long_as_there_is_no_answer_yet() {
    let server = Berth::debug(&[]);
    let send = |body: &str| {
        let mut client = server.client();
        client.send(format!(
            "POST /debug/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        client
    };
    let mut client = send("zz\r\n");
    client.read().assert_problem(400);
    assert!(client.is_closed());
    // The answer begins with the first good chunk, and is broken off at the bad one.
    for body in ["3\r\nabc\r\nzz\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
        let mut client = send(body);
        assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
        while !client.line().unwrap().is_empty() {}
        assert_eq!(client.read_raw(8), b"3\r\nabc\r\n");
        assert!(client.is_closed(), "{body}");
    }
}

#[test]
fn half_of_a_body_is_no_head() {
    let server = Berth::debug(&[]);
    let body = "GET /health HTTP/1.1\r\nHost: t\r\n\r\n";
    let (first, last) = body.split_at(10);
    let length = body.len();
    let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let (size, chunks) = chunk.split_at(12);
    for (field, half, rest) in [
        (format!("Content-Length: {length}"), first, last),
        (
            format!("Expect: 100-continue\r\nContent-Length: {length}"),
            first,
            last,
        ),
        ("Transfer-Encoding: chunked".into(), size, chunks),
        (
            "Expect: 100-continue\r\nTransfer-Encoding: chunked".into(),
            size,
            chunks,
        ),
    ] {
        for pause in [Duration::from_millis(10), MOMENT] {
            let mut client = server.client();
            assert_eq!(client.get("/health").status, 200);
            client.send(format!(
                "POST /debug/echo HTTP/1.1\r\nHost: t\r\n{field}\r\n\r\n"
            ));
            if field.contains("100") {
                assert_eq!(client.line().unwrap(), "HTTP/1.1 100 Continue");
                assert_eq!(client.line().unwrap(), "");
            }
            for part in [half, rest] {
                thread::sleep(pause);
                client.send(part);
            }
            assert_eq!(client.read().text(), body, "{field}, {pause:?}");
        }
    }
}

#[test]
fn a_body_that_comes_late_is_no_request() {
    let server = Berth::start(&[]);
    for length in ["Content-Length: 36", "Transfer-Encoding: chunked"] {
        let mut client = server.client();
        client.send(format!(
            "POST /health HTTP/1.1\r\nHost: t\r\n{length}\r\n\r\n"
        ));
        assert_eq!(client.read().status, 405);
        thread::sleep(MOMENT);
        let _ = client.try_send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
        assert!(client.is_closed(), "{length}");
    }
}

#[test]
fn a_chunked_body_that_nobody_reads_is_not_waited_for() {
    let server = Berth::start(&[]);
    for (method, target, status) in [
        ("GET", "/health", 200),
        ("POST", "/health", 405),
        ("POST", "/nowhere", 404),
    ] {
        let mut client = server.client();
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        ));
        let response = client.read();
        assert_eq!(response.status, status);
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed(), "{method} {target}");
    }
}
