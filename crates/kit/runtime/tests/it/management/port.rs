//! What the management port has, and when it answers.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use berth_testkit::{Client, eventually};

use crate::process::{Berth, berth};

use super::{get, put, start};

#[test]
fn each_port_has_what_is_its_own() {
    let (server, private) = start(&[("BERTH__DEBUG__ROUTES", "true")]);
    for (path, on_public, on_private) in [
        ("/health", 200, 200),
        ("/ready", 200, 200),
        ("/ready/x", 404, 404),
        ("/openapi.json", 200, 200),
        ("/metrics", 404, 200),
        ("/settings", 404, 200),
        ("/log-filter", 404, 200),
        ("/faults", 404, 200),
        ("/api/v1/hello", 200, 404),
        ("/debug/headers", 200, 404),
    ] {
        assert_eq!(server.get(path).status, on_public, "public {path}");
        let response = get(private, path);
        assert_eq!(response.status, on_private, "private {path}");
        assert!(response.header("x-request-id").is_some());
    }
    get(private, "/nothing").assert_problem(404);
    let refused = put(private, "/settings", "{}");
    refused.assert_problem(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));

    let document = get(private, "/openapi.json").json();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/faults",
            "/health",
            "/log-filter",
            "/metrics",
            "/openapi.json",
            "/ready",
            "/ready/{check}",
            "/settings"
        ]
    );
    // What machines ask is no use of the service: the two probes counted are the public ones, and
    // the one by which this test has waited for the start.
    let metrics = get(private, "/metrics");
    let count = |endpoint: &str| {
        metrics.sample(&format!(
            "api_requests_total{{endpoint=\"{endpoint}\",method=\"GET\",status=\"200\"}}"
        ))
    };
    assert_eq!(count("/health"), Some("2"));
    assert_eq!(count("/ready"), Some("1"));
    assert_eq!(count("/settings"), None);
    server.stop();
}

#[test]
fn without_it_everything_stays_where_it_was() {
    let server = Berth::debug(&[]);
    assert_eq!(server.get("/metrics").status, 200);
    for path in ["/settings", "/log-filter", "/faults"] {
        assert_eq!(server.get(path).status, 404);
    }
    server.stop();
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = berth(&[("BERTH__MANAGEMENT__PORT", &port)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("cannot listen on 127.0.0.1:{port}: address already in use (set management.port, or stop")),
        "{stderr}"
    );
}

#[test]
fn settings_are_shown_with_their_origin_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = |port| {
        format!(
            "[server]\nbacklog = {port}\n[[readiness.checks]]\nname = \"db\"\n\
             url = \"http://me:hunter2@127.0.0.1:1/\"\nrequired = false\n"
        )
    };
    std::fs::write(&file, text(7)).unwrap();
    let (server, private) = start(&[("BERTH_CONFIG", file.to_str().unwrap())]);
    let row = |list: &str, key: &str| {
        let body = get(private, "/settings").json();
        let rows = body[list].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["key"] == key)
    };
    let origin = format!("file {}", file.display());
    let backlog = json!({ "key": "server.backlog", "value": 7, "origin": origin });
    assert_eq!(row("settings", "server.backlog"), Some(backlog.clone()));
    let keep_alive = row("settings", "server.keep_alive").unwrap();
    assert_eq!(keep_alive["value"], "1m 15s");
    assert_eq!(keep_alive["origin"], "built-in default");
    let host = row("settings", "server.host").unwrap();
    assert_eq!(host["origin"], "environment variable BERTH__SERVER__HOST");
    assert!(!get(private, "/settings").text().contains("hunter2"));
    assert_eq!(row("needs_restart", "server.backlog"), None);

    std::fs::write(&file, text(8)).unwrap();
    eventually("told", || row("needs_restart", "server.backlog").is_some());
    let pending = row("needs_restart", "server.backlog").unwrap();
    assert_eq!(pending["value"], 8);
    assert_eq!(row("settings", "server.backlog"), Some(backlog));
    server.stop();
}

#[test]
fn settings_are_shown_as_json_has_their_values() {
    let (server, private) = start(&[
        ("BERTH__SERVER__WORKERS", "2"),
        ("BERTH__SERVER__TRUSTED_PROXIES", "['10.0.0.0/8', '::1']"),
        (
            "BERTH__READINESS__CHECKS",
            "[{ name = 'db', url = 'http://me:hunter2@127.0.0.1:1/', required = false }]",
        ),
    ]);
    let body = get(private, "/settings").json();
    let rows = body["settings"].as_array().unwrap();
    for (key, value) in [
        ("app.name", json!("berth")),
        ("server.workers", json!(2)),
        ("server.backlog", json!(1024)),
        ("server.keep_alive", json!("1m 15s")),
        ("server.trusted_proxies", json!(["10.0.0.0/8", "::1/128"])),
        ("server.proxy_protocol", json!(false)),
        ("shutdown.grace_period", json!(null)),
        ("log.format", json!("text")),
        (
            "readiness.checks",
            json!([{
                "name": "db",
                "url": "http://********@127.0.0.1:1/",
                "interval": "10s",
                "timeout": "2s",
                "failure_threshold": 3,
                "success_threshold": 1,
                "required": false,
                "status": "200-299",
            }]),
        ),
    ] {
        let row = rows.iter().find(|row| row["key"] == key).unwrap();
        assert_eq!(row["value"], value, "{key}");
    }
    server.stop();
}

#[test]
fn it_answers_while_every_public_worker_is_stuck() {
    let (server, private) = start(&[("BERTH__DEBUG__ROUTES", "true")]);
    let done = Arc::new(AtomicBool::new(false));
    // More of them than workers, so that there is always the next one.
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (done, addr) = (Arc::clone(&done), server.addr);
            thread::spawn(move || {
                let mut client = Client::connect(addr);
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/debug/block/200ms").status, 200);
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    let timed = |addr, path: &str| {
        let start = Instant::now();
        assert_eq!(get(addr, path).status, 200);
        start.elapsed()
    };
    let mut private_times: Vec<_> = ["/health", "/ready", "/metrics", "/settings"]
        .repeat(50)
        .into_iter()
        .map(|path| timed(private, path))
        .collect();
    // So that it is known that they were stuck: the same question on the public port has to wait.
    let public_time = timed(server.addr, "/health");
    done.store(true, Ordering::Relaxed);
    for client in load {
        client.join().unwrap();
    }
    assert!(public_time > Duration::from_millis(100), "{public_time:?}");
    private_times.sort_unstable();
    let p99 = private_times[private_times.len() * 99 / 100 - 1];
    assert!(p99 < Duration::from_millis(50), "{private_times:?}");
    server.stop();
}

#[test]
fn a_scrape_sees_the_drain_to_its_end() {
    let (mut server, private) = start(&[
        ("BERTH__DEBUG__ROUTES", "true"),
        ("BERTH__SHUTDOWN__DRAIN_DELAY", "500ms"),
    ]);
    let mut scrape = Client::connect(private);
    let sample = |scrape: &mut Client, name: &str| -> u64 {
        let metrics = scrape.get("/metrics");
        metrics.sample(name).unwrap().parse().unwrap()
    };
    assert_eq!(sample(&mut scrape, "berth_ready"), 1);
    let mut slow = server.client();
    slow.send("GET /debug/delay/3s HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("in flight", || {
        sample(&mut scrape, "api_requests_in_flight") > 0
    });
    server.signal("TERM");
    eventually("not ready", || sample(&mut scrape, "berth_ready") == 0);
    get(private, "/ready").json()["reason"]
        .as_str()
        .filter(|reason| *reason == "shutting down")
        .unwrap();
    assert_eq!(get(private, "/health").status, 200);
    // The public port is closed, and this one still answers, also to new connections.
    eventually("closed", || Client::try_connect(server.addr).is_err());
    assert_eq!(sample(&mut scrape, "api_requests_in_flight"), 1);
    assert_eq!(get(private, "/metrics").status, 200);
    assert_eq!(slow.read().status, 200);
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.log());
    assert!(Client::try_connect(private).is_err());
}

#[test]
fn a_path_of_the_service_that_metrics_have_on_this_port_is_a_use_of_it() {
    let (server, private) = start(&[("BERTH__METRICS__PATH", "/api/v1/hello")]);
    assert_eq!(server.get("/api/v1/hello").status, 200);
    let metrics = get(private, "/api/v1/hello");
    let counted = metrics
        .sample("api_requests_total{endpoint=\"/api/v1/hello\",method=\"GET\",status=\"200\"}");
    assert_eq!(counted, Some("1"));
    // On the public port it is a request like any other, and on this one a scrape, which is not logged.
    let log = server.stop();
    let lines = log.iter().filter(|line| line.contains("/api/v1/hello"));
    assert_eq!(lines.count(), 1, "{log:#?}");
}
