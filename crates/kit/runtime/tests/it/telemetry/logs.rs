//! The log, as text and as JSON.

use std::process::Stdio;

use serde_json::Value;

use crate::process::{Berth, berth};

const JSON: (&str, &str) = ("BERTH__LOG__FORMAT", "json");

/// Probes are logged like any other request.
const PROBES: (&str, &str) = ("BERTH__LOG__PROBES", "true");

fn access_lines(log: &[String]) -> Vec<&String> {
    log.iter()
        .filter(|line| line.contains("| Status: "))
        .collect()
}

#[test]
fn text_has_one_line_a_request() {
    let server = Berth::start(&[PROBES]);
    server
        .client()
        .request("DELETE", "/api/v1/hello?secret=1", "");
    let log = server.stop();
    let lines = access_lines(&log);
    assert_eq!(lines.len(), 2, "{log:#?}");
    let (time, rest) = lines[1].split_once(' ').unwrap();
    assert!(
        time.ends_with('Z') && time.len() == "2026-01-02T03:04:05.678901Z".len(),
        "{time}"
    );
    let (line, latency) = rest.split_once("Latency: ").unwrap();
    assert_eq!(
        line,
        "INFO  [DELETE] /api/v1/hello 127.0.0.1 | Status: 405 | "
    );
    assert!(
        latency.ends_with("µs") || latency.ends_with("ms"),
        "{latency}"
    );
}

#[test]
fn json_has_one_object_a_line() {
    let server = Berth::debug(&[JSON, PROBES]);
    server.client().request(
        "GET",
        "/debug/bytes/100000",
        "X-Request-Id: id-1\r\nUser-Agent: \"te\\st\" \u{e9}\r\n\
         Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    );
    server.get("/debug/panic");
    let log = server.stop();
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(log.iter().all(|line| line.starts_with("{\"ts\":\"20")));
    for line in &lines {
        for key in ["ts", "level", "target", "msg"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
    let access = lines
        .iter()
        .find(|line| line["request_id"] == "id-1")
        .unwrap();
    assert_eq!(access["target"], "access");
    assert_eq!(access["level"], "INFO");
    assert_eq!(access["method"], "GET");
    assert_eq!(access["route"], "/debug/bytes/{n}");
    assert_eq!(access["path"], "/debug/bytes/100000");
    assert_eq!(access["status"], 200);
    assert!(access["latency_us"].as_u64().unwrap() > 0);
    assert_eq!(access["bytes"], 100_000);
    assert_eq!(access["client_ip"], "127.0.0.1");
    assert_eq!(access["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(access["user_agent"], "\"te\\st\" é");
    assert_eq!(access["aborted"], false);
    let plain = lines.iter().find(|line| line["path"] == "/health").unwrap();
    assert_eq!(plain["trace_id"], Value::Null);
    assert_eq!(plain["user_agent"], Value::Null);
    assert!(
        lines
            .iter()
            .any(|line| line["target"] == "panic" && line["level"] == "ERROR")
    );
}

#[test]
fn no_client_can_forge_a_line() {
    for format in ["text", "json"] {
        let server = Berth::start(&[("BERTH__LOG__FORMAT", format), PROBES]);
        let before = server.log().len();
        let mut requests = 0;
        for target in [
            "/a%0A2026-01-01T00:00:00Z%20ERROR%20forged",
            "/api/v1/hello?name=x%0Aforged",
            "/a%0D%0Aforged",
            "/%1B[2Jforged",
            "/\u{85}forged",
            "/\u{2028}forged",
            "/\\nforged\"}",
        ] {
            let mut client = server.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
            // One that never becomes a request has a line, too.
            assert!(client.read().header("x-request-id").is_some());
            requests += 1;
        }
        for header in [
            "User-Agent: x\u{85}forged",
            "User-Agent: x\tforged\",\"level\":\"ERROR",
            "X-Request-Id: x\"forged",
            "Traceparent: 00-forged",
        ] {
            server
                .client()
                .request("GET", "/health", &format!("{header}\r\n"));
            requests += 1;
        }
        // Nor does one with a bare line feed or carriage return within a header.
        for header in ["X-Request-Id: a\nforged: b", "User-Agent: a\rforged"] {
            let mut client = server.client();
            client.send(format!(
                "GET /health HTTP/1.1\r\nHost: t\r\n{header}\r\n\r\n"
            ));
            client.read();
            requests += 1;
        }
        let log = server.stop();
        let access = log[before..]
            .iter()
            .filter(|line| line.contains("| Status: ") || line.contains("\"request_id\""));
        assert!(
            (requests..=requests + 2).contains(&access.count()),
            "{log:#?}"
        );
        for line in &log {
            let starts_right = if format == "json" {
                serde_json::from_str::<Value>(line).is_ok()
            } else {
                line.starts_with("20") && line.as_bytes()[4] == b'-'
            };
            assert!(starts_right, "{line:?} in {log:#?}");
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{2028}') || format == "json",
                "{line:?}"
            );
            assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line}");
        }
    }
}

#[test]
fn the_access_log_can_be_turned_off_and_filtered() {
    for settings in [
        ("BERTH__LOG__ACCESS", "false"),
        ("BERTH__LOG__FILTER", "info,access=off"),
    ] {
        let server = Berth::start(&[settings, PROBES]);
        let response = server.get("/health");
        assert!(response.header("x-request-id").is_some());
        let log = server.stop();
        assert!(access_lines(&log).is_empty(), "{log:#?}");
        assert!(log.iter().any(|line| line.contains("stopped")), "{log:#?}");
    }
}

#[test]
fn a_filter_with_a_text_holds_for_access_lines_too() {
    for (format, health) in [("text", "] /health "), ("json", "\"path\":\"/health\"")] {
        let server = Berth::start(&[
            // Of the two only one has an `h` in its message.
            ("BERTH__LOG__FILTER", "info/h"),
            ("BERTH__LOG__FORMAT", format),
            PROBES,
        ]);
        server.get("/ready");
        server.get("/health");
        let log = server.stop();
        assert!(log.iter().any(|line| line.contains(health)), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("/ready")), "{log:#?}");
    }
}

/// The paths in the access lines that this has logged, with their levels, after `/first`.
fn logged(settings: &[(&str, &str)], targets: &[&str]) -> Vec<(String, String)> {
    let server = Berth::start(settings);
    server.get("/first");
    for target in targets {
        server.get(target);
    }
    server.client().request("HEAD", "/health", "");
    server.client().request("DELETE", "/health", "");
    let log = server.stop();
    let lines: Vec<_> = access_lines(&log)
        .into_iter()
        .map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let level = words.next().unwrap().to_owned();
            (level, words.nth(1).unwrap().to_owned())
        })
        .collect();
    let first = lines.iter().position(|(_, path)| path == "/first").unwrap();
    lines[first + 1..].to_vec()
}

#[test]
fn probes_that_succeed_are_no_news_and_those_that_fail_are() {
    let passes = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let checks = |address: &str| {
        format!(
            r#"[{{ name = "db", url = "tcp://{address}", interval = "100ms", timeout = "100ms" }}]"#
        )
    };
    let good = checks(&passes.local_addr().unwrap().to_string());
    // Nobody listens there.
    let bad = checks("127.0.0.1:9");
    let path = ("BERTH__METRICS__PATH", "/scrape");
    let targets = [
        "/health",
        "/ready",
        "/ready?verbose",
        "/ready/db",
        "/scrape",
        "/ready/nothing",
        "/api/v1/hello",
    ];
    let info = |paths: &[&str]| -> Vec<_> {
        let line = |path: &&str| ("INFO".to_owned(), (*path).to_owned());
        paths.iter().map(line).collect()
    };
    // A refused request for a probe is no probe that succeeded; it is the last, by DELETE.
    let failures = ["/ready/nothing", "/api/v1/hello", "/health"];
    let checked = ("BERTH__READINESS__CHECKS", good.as_str());
    assert_eq!(logged(&[checked, path], &targets), info(&failures));

    let all = [
        "/health",
        "/ready",
        "/ready",
        "/ready/db",
        "/scrape",
        "/ready/nothing",
        "/api/v1/hello",
        "/health",
        "/health",
    ];
    assert_eq!(logged(&[checked, path, PROBES], &targets), info(&all));
    // At debug they are there to be seen, for as long as somebody looks.
    let debug = ("BERTH__LOG__FILTER", "info,access=debug");
    let levels: Vec<_> = logged(&[checked, path, debug], &targets)
        .into_iter()
        .map(|(level, path)| format!("{level} {path}"))
        .collect();
    let expected = [
        "DEBUG /health",
        "DEBUG /ready",
        "DEBUG /ready",
        "DEBUG /ready/db",
        "DEBUG /scrape",
        "INFO /ready/nothing",
        "INFO /api/v1/hello",
        "DEBUG /health",
        "INFO /health",
    ];
    assert_eq!(levels, expected);

    let failed = [("BERTH__READINESS__CHECKS", bad.as_str()), path];
    let lines = logged(&failed, &["/ready", "/ready/db", "/health"]);
    assert_eq!(lines, info(&["/ready", "/ready/db", "/health"]));
}

#[test]
fn probes_of_the_management_port_are_no_news_either() {
    let mut server = Berth::start(&[JSON, ("BERTH__MANAGEMENT__PORT", "0")]);
    let line = server.wait_for_log("management port on http://");
    let address = line.split("http://").nth(1).unwrap();
    let end = address.find('"').unwrap_or(address.len());
    let address = address[..end].parse().unwrap();
    for path in ["/health", "/ready", "/metrics", "/settings"] {
        let answer = berth_testkit::Client::connect(address).get(path);
        assert_eq!(answer.status, 200);
    }
    let paths: Vec<Value> = server
        .stop()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "access")
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(paths, ["/settings"]);
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let addr_of = |command: &mut std::process::Command| {
        // The log cannot tell the port, so choose one that is free now.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = free.local_addr().unwrap();
        command.env("PORT", addr.port().to_string());
        addr
    };
    let mut command = berth(&[PROBES]);
    let addr = addr_of(&mut command);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut client = loop {
        match berth_testkit::Client::try_connect(addr) {
            Ok(client) => break client,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    // A pipe holds 64 KiB and the buffer 1 MiB; this is more than both.
    for _ in 0..20_000 {
        assert_eq!(client.get("/health").status, 200);
    }
    let metrics = client.get("/metrics");
    let lost = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("berth_log_lines_lost_total "))
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(lost > 0, "lines that do not fit are counted");
    // Nor does it keep the process from ending.
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .arg(&pid)
        .status()
        .unwrap();
    let start = std::time::Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < std::time::Duration::from_secs(3));
}

#[test]
fn a_line_that_is_logged_for_a_request_carries_its_ids_and_no_others() {
    for format in ["json", "text"] {
        let mut server = Berth::debug(&[("BERTH__LOG__FORMAT", format)]);
        // One that waits on the same worker meanwhile, and one without a panic.
        let mut waiting = server.client();
        waiting.send("GET /debug/delay/300ms HTTP/1.1\r\nHost: t\r\nX-Request-Id: waiting\r\n\r\n");
        for id in ["one", "two"] {
            let headers = format!(
                "X-Request-Id: {id}\r\n\
                 Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
            );
            server
                .client()
                .request("GET", "/debug/panic", &headers)
                .assert_problem(500);
        }
        assert_eq!(waiting.read().status, 200);
        server.signal("TERM");
        server.wait();
        let log = server.log();
        let panics: Vec<_> = log
            .iter()
            .filter(|line| line.contains("panicked at"))
            .collect();
        assert_eq!(panics.len(), 2, "{log:#?}");
        for (line, id) in panics.iter().zip(["one", "two"]) {
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["request_id"], id);
                assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
                assert_eq!(line["route"], "/debug/panic");
            } else {
                let end = format!(
                    " | request_id={id} trace_id=4bf92f3577b34da6a3ce929d0e0e4736 route=/debug/panic"
                );
                assert!(line.ends_with(&end), "{line}");
            }
        }
        // What belongs to no request says so by saying nothing.
        let last = log.last().unwrap();
        assert!(last.contains("every request was answered") && !last.contains("request_id"));
    }
}
