//! Every error has its true status and says what is wrong.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::{Client, eventually};

use crate::process::Berth;

#[test]
fn twenty_bad_requests() {
    let server = Berth::start(&[]);
    let long = "x".repeat(65);
    let cases: Vec<(&str, String, u16, &str)> = vec![
        ("GET", "/api/v1/hello?name=".into(), 400, "1 to 64"),
        ("GET", format!("/api/v1/hello?name={long}"), 400, "has 65"),
        ("GET", "/api/v1/hello?name=a%0Ab".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%00".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%7F".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%C2%85".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%4".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%zz".into(), 400, "percent"),
        ("GET", "/api/v1/hello?x=%zz".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%FF".into(), 400, "UTF-8"),
        ("GET", "/api/v1/hello?name=a&name=b".into(), 400, "once"),
        ("GET", "/".into(), 404, "nothing"),
        ("GET", "/nowhere".into(), 404, "nothing"),
        ("GET", "/api/v1/hello/".into(), 404, "nothing"),
        ("GET", "/%zz".into(), 404, "nothing"),
        ("GET", "/debug/panic".into(), 404, "nothing"),
        ("POST", "/health".into(), 405, "GET, HEAD"),
        ("DELETE", "/api/v1/hello".into(), 405, "GET, HEAD"),
        ("BREW", "/ready".into(), 405, "GET, HEAD"),
        ("OPTIONS", "/metrics".into(), 405, "GET, HEAD"),
        ("GET", format!("/{}", "x".repeat(8192)), 414, "8192"),
        (
            "GET",
            format!("/health?{}", "x".repeat(60_000)),
            414,
            "8192",
        ),
    ];
    for (method, target, status, says) in cases {
        let response = server.client().request(method, &target, "");
        let detail = response.assert_problem(status);
        assert!(detail.contains(says), "{method} {target:.40}: {detail}");
        let allow = (status == 405).then_some("GET, HEAD");
        assert_eq!(response.header("allow"), allow);
    }
}

#[test]
fn what_is_not_http_gets_a_4xx_and_a_close() {
    let server = Berth::start(&[]);
    for (bytes, status) in [
        ("NOT HTTP\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nHost: t\r\nBad Header: x\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        (
            "POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET /health HTTP/1.1\r\nHost: t\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
        (format!("GET /health HTTP/1.1\r\nHost: t\r\nA: {}\r\n\r\n", "x".repeat(140_000)), 431),
    ] {
        let mut client = server.client();
        // The server may close before the last byte is out.
        let _ = client.try_send(&bytes);
        let response = client.read();
        assert_eq!(response.status, status, "{bytes:.80}");
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/health").status, 200);
}

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
fn a_client_that_trickles_its_headers_is_a_408() {
    let server = Berth::start(&[("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "300ms")]);
    let mut client = server.client();
    for byte in "GET /hea".bytes() {
        client.send([byte]);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.read().status, 408);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_trickles_its_body_is_a_408() {
    let server = Berth::debug(&[("BERTH__SERVER__REQUEST_TIMEOUT", "300ms")]);
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n");
    client.read().assert_problem(408);
    // The answer has begun: it can only be broken off.
    let mut client = server.client();
    client.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nx");
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    while !client.line().unwrap().is_empty() {}
    client.read_raw("1\r\nx\r\n".len());
    assert!(client.is_closed());
}

#[test]
fn a_client_that_trickles_a_later_head_is_left() {
    let server = Berth::start(&[
        ("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "300ms"),
        ("BERTH__SERVER__REQUEST_TIMEOUT", "300ms"),
    ]);
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    // In time, though in pieces.
    for piece in ["GET /health HT", "TP/1.1\r\nHost: t\r", "\n\r\n"] {
        client.send(piece);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.read().status, 200);
    // Longer between two requests than a head may take.
    thread::sleep(Duration::from_millis(600));
    assert_eq!(client.get("/health").status, 200);
    client.send("GET /hea");
    assert!(client.is_closed());
    // Empty lines before it are no head of their own.
    for begun in ["\r\n\r\n", "\n\nGET /hea"] {
        let mut client = server.client();
        assert_eq!(client.get("/health").status, 200);
        client.send(begun);
        assert!(client.is_closed(), "{begun:?}");
    }
}

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
    assert_eq!(idle.get("/health").status, 200);
    let last = Instant::now();
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

/// Longer than a connection stays with actix when nothing comes on it.
const MOMENT: Duration = Duration::from_millis(400);

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
    // More than actix takes ahead.
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

#[test]
fn what_a_client_sends_ahead_is_not_lost_in_a_pause() {
    let server = Berth::start(&[]);
    let mut client = server.client();
    client.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\nGET /hea");
    assert_eq!(client.read().status, 200);
    thread::sleep(MOMENT);
    client.send("dy HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read().status, 404);
}

/// actix takes 16 requests ahead; the others it has read, and not begun.
#[test]
fn what_waits_for_its_turn_is_not_lost_in_a_pause() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    let first = "GET /debug/delay/200ms HTTP/1.1\r\nHost: t\r\n\r\n";
    let other = "GET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n";
    client.send(format!("{first}{}", other.repeat(16)));
    thread::sleep(Duration::from_millis(50));
    client.send(other);
    assert_eq!(client.read().status, 200);
    for _ in 0..17 {
        assert_eq!(client.read().status, 418);
    }
    thread::sleep(MOMENT);
    assert_eq!(client.get("/health").status, 200);
}

#[test]
fn half_a_head_after_an_answer_is_kept_until_the_rest_comes() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    for (half, rest, status) in [
        ("GET /debug/status/418 HT", "TP/1.1\r\nHost: t\r\n\r\n", 418),
        // All at once but for the last byte, and an empty line before it.
        (
            "\r\nGET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r",
            "\n",
            418,
        ),
        // What comes with the rest is another request, or a body.
        (
            "GET /health HT",
            "TP/1.1\r\nHost: t\r\n\r\nGET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n",
            418,
        ),
        (
            "POST /debug/echo HT",
            "TP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody",
            200,
        ),
        ("GET /debug/status/418 HT", "TP/1.1\r\nHost: t\r\n\r\n", 418),
    ] {
        for pause in [Duration::from_millis(10), MOMENT] {
            client.send(half);
            thread::sleep(pause);
            client.send(rest);
            if rest.contains("GET") {
                assert_eq!(client.read().status, 200, "{half:?}, {pause:?}");
            }
            assert_eq!(client.read().status, status, "{half:?}, {pause:?}");
        }
    }
    // While the client has not taken all of its answer.
    client.send("GET /debug/bytes/8000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(MOMENT);
    client.send("GET /debug/status/418 HT");
    thread::sleep(MOMENT);
    assert_eq!(client.read().body.len(), 8_000_000);
    client.send("TP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read().status, 418);
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
fn a_client_that_leaves_its_answer_unread_is_left() {
    let limits = [
        ("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "500ms"),
        ("BERTH__SERVER__REQUEST_TIMEOUT", "500ms"),
    ];
    let server = Berth::debug(&limits);
    let in_flight = || {
        let exposition = server.get("/metrics");
        exposition.sample("api_requests_in_flight") == Some("1")
    };
    let mut client = server.client();
    client.send("GET /debug/bytes/67108864 HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the answer begins", in_flight);
    eventually("it is given up", || !in_flight());

    // One that reads, however slowly, gets what it has asked for.
    let mut slow = server.client();
    slow.send("GET /debug/bytes/4000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    while !slow.line().unwrap().is_empty() {}
    for _ in 0..20 {
        slow.read_raw(200_000);
        thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(slow.get("/health").status, 200);
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
