//! What checks find, and what is told of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::{Berth, berth, free_port};

use super::{INTERVAL, api_is_not_slower, check, follows, impatient, ready, start, stays};

fn lines(server: &Berth, text: &str) -> usize {
    server
        .log()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

#[test]
fn a_port_that_takes_connections() {
    let port = free_port();
    let mut server = start(&check(&format!("tcp://127.0.0.1:{port}"), ""));
    server.wait_for_log("readiness check dep failed, the service is not ready: ");
    stays(&server, 503, "nothing listens");
    let (_, body) = ready(&server);
    assert_eq!(body["status"], "not ready");
    assert_eq!(body["reason"], "checks failed");
    assert_eq!(body["failed"][0]["name"], "dep");
    assert!(body["failed"][0]["since"].as_str().unwrap().ends_with('Z'));
    // The cause is in the log, and only there.
    assert!(!body.to_string().contains("refused"), "{body}");

    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    follows(&server, 200, "it listens");
    assert_eq!(ready(&server).1["status"], "ready");
    drop(listener);
    follows(&server, 503, "it is gone again");
    api_is_not_slower(&server);
    // Once per change, however often it was tried.
    assert_eq!(lines(&server, "readiness check dep failed"), 2);
    assert_eq!(lines(&server, "readiness check dep passed"), 1);
    assert!(lines(&server, "refused") >= 2);
    server.stop();
}

#[test]
fn one_failure_is_not_enough() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut checks = check(&format!("tcp://127.0.0.1:{port}"), "");
    checks = checks.replace("failure_threshold = 2", "failure_threshold = 100");
    let server = start(&checks);
    follows(&server, 200, "it listens");
    drop(listener);
    stays(&server, 200, "some failures, fewer than the threshold");
    server.stop();
}

#[test]
fn what_is_not_required_only_degrades() {
    let port = free_port();
    let mut server = start(&check(
        &format!("tcp://127.0.0.1:{port}"),
        ", required = false",
    ));
    server.wait_for_log("readiness check dep failed, the service is degraded: ");
    let (status, body) = ready(&server);
    assert_eq!((status, &body["status"]), (200, &"degraded".into()));
    assert_eq!(body["failed"][0]["name"], "dep");
    assert_eq!(server.get("/ready/dep").status, 503);
    let metrics = server.get("/metrics");
    assert!(metrics.text().contains("\nberth_ready 1\n"));
    assert!(
        metrics
            .text()
            .contains("\nberth_readiness_check{name=\"dep\"} 0\n")
    );
    server.stop();
}

#[test]
fn every_check_can_be_listed_and_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let up = listener.local_addr().unwrap();
    let checks = format!(
        "[{{ name = 'up', url = 'tcp://{up}', interval = '200ms' }}, \
         {{ name = 'down', url = 'tcp://127.0.0.1:{}', required = false }}]",
        free_port()
    );
    let server = start(&checks);
    follows(&server, 200, "the required one is up");
    let verbose: Value = serde_json::from_str(server.get("/ready?verbose").text()).unwrap();
    let listed: Vec<_> = verbose["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (
                check["name"].as_str().unwrap(),
                check["status"].as_str().unwrap(),
                check["required"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, [("up", "ok", true), ("down", "failed", false)]);
    assert!(verbose["checks"][0]["age"].is_string());
    let one: Value = serde_json::from_str(server.get("/ready/up").text()).unwrap();
    assert_eq!((&one["name"], &one["status"]), (&"up".into(), &"ok".into()));
    assert_eq!(server.get("/ready/up").status, 200);
    assert_eq!(server.get("/ready/down").status, 503);
    let unknown = server.get("/ready/sideways");
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.header("content-type"),
        Some("application/problem+json")
    );

    let metrics = server.get("/metrics");
    for line in [
        "\nberth_readiness_check{name=\"up\"} 1\n",
        "\nberth_readiness_check{name=\"down\"} 0\n",
        "\nberth_readiness_check_duration_seconds{name=\"up\"} 0.0",
        "endpoint=\"/ready/{check}\",method=\"GET\",status=\"404\"} 1\n",
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
    server.stop();
}

#[test]
fn an_http_server_with_the_expected_status() {
    let mut other = Berth::debug(&[]);
    let url = |path: &str| format!("http://{}{path}", other.addr);
    // Each its own server, so that each has one check: the status decides.
    for (path, more, ready) in [
        ("/health", "", 200),
        ("/debug/status/204", "", 200),
        ("/debug/status/301", "", 503),
        ("/debug/status/301", ", status = '200-399'", 200),
        ("/debug/status/500", "", 503),
        ("/debug/status/503", ", status = '503'", 200),
        ("/debug/bytes/1000000", "", 200),
        ("/debug/delay/5s", "", 503),
    ] {
        let server = start(&check(&url(path), more));
        follows(&server, ready, path);
        server.stop();
    }

    let server = start(&check(&url("/health"), ""));
    follows(&server, 200, "it answers");
    let address = other.addr;
    other.signal("STOP");
    follows(&server, 503, "it hangs");
    api_is_not_slower(&server);
    other.signal("CONT");
    follows(&server, 200, "it goes on");
    other.signal("KILL");
    other.wait();
    follows(&server, 503, "it was killed");
    let again = Berth::start_at(&[("PORT", &address.port().to_string())], address.port());
    follows(&server, 200, "it is back");
    again.stop();
    server.stop();
}

#[test]
fn one_connection_is_used_again_and_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/healthy?x=y", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU32::new(0));
    let requests = Arc::new(AtomicU32::new(0));
    let (counted, answered) = (Arc::clone(&connections), Arc::clone(&requests));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|size| size > 0) {
                if line.starts_with("GET ") {
                    assert_eq!(line, "GET /healthy?x=y HTTP/1.1\r\n");
                }
                if line == "\r\n" {
                    answered.fetch_add(1, Ordering::Relaxed);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.get_mut().write_all(answer).unwrap();
                }
                line.clear();
            }
        }
    });
    let server = start(&check(&url, ""));
    follows(&server, 200, "it answers");
    let deadline = Instant::now() + INTERVAL * 20;
    while requests.load(Ordering::Relaxed) < 5 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    server.stop();
}

#[test]
fn a_kept_connection_that_the_server_closes_is_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    // One answer, and what comes then finds the connection closing.
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            thread::spawn(|| {
                let mut stream = BufReader::new(stream.unwrap());
                for answer in ["HTTP/1.1 204 No Content\r\n\r\n", ""] {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        stream.read_line(&mut line).unwrap();
                    }
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    let server = start(&impatient(&check(&url, "")));
    follows(&server, 200, "it answers");
    stays(
        &server,
        200,
        "it closes the connections that it has answered on",
    );
    assert!(connections.load(Ordering::Relaxed) >= 3);
    assert_eq!(lines(&server, "readiness check dep failed"), 0);
    server.stop();
}

/// As curl does: percent-decoded, with a colon also where there is no password.
#[test]
fn credentials_in_the_url_are_sent_and_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                heads.lock().unwrap().push(std::mem::take(&mut line));
            }
            let answer = b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
        }
    });
    // By RFC 7617's own examples, and RFC 4648's for what base64 has beside letters.
    for (credentials, sent) in [
        (
            "Aladdin:open%20sesame@",
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        ("test:123%C2%A3@", Some("Basic dGVzdDoxMjPCow==")),
        ("hunter2token@", Some("Basic aHVudGVyMnRva2VuOg==")),
        (":a%3Ab%2F@", Some("Basic OmE6Yi8=")),
        ("", None),
    ] {
        let url = format!("http://{credentials}{address}/");
        let checks = check(&url, "");
        let mut server = Berth::start(&[
            ("BERTH__READINESS__CHECKS", checks.as_str()),
            ("BERTH__LOG__FILTER", "trace"),
        ]);
        server.wait_for_log("readiness check dep failed");
        let heads = std::mem::take(&mut *asked.lock().unwrap());
        let header = heads
            .iter()
            .find_map(|line| line.strip_prefix("authorization: "));
        assert_eq!(header.map(str::trim_end), sent, "{url}");
        assert!(heads.contains(&format!("host: {address}\r\n")), "{heads:?}");
        let log = server.stop().concat();
        let secrets = [credentials.trim_end_matches('@'), sent.unwrap_or_default()];
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

#[test]
fn a_user_name_that_cannot_be_sent_is_refused() {
    let checks = check("http://a%3Ab:hunter2@localhost/", "");
    let output = berth(&[("BERTH__READINESS__CHECKS", &checks)])
        .arg("check")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("a colon"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
#[cfg(not(feature = "check-https"))]
fn what_was_not_built_in_is_said_at_the_start() {
    let output = berth(&[(
        "BERTH__READINESS__CHECKS",
        "[{ name = 'a', url = 'https://u:hunter2@localhost/' }]",
    )])
    .output()
    .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    for word in ["built without", "check-https"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
