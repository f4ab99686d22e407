//! The private port.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use berth_testkit::{Client, Response, eventually};

use crate::process::{Berth, berth};

/// A server with a private port, and that port's address.
fn start(environment: &[(&str, &str)]) -> (Berth, SocketAddr) {
    let mut command = berth(environment);
    command.env("BERTH__MANAGEMENT__PORT", "0");
    let mut server = Berth::spawn(command);
    let line = server.wait_for_log("management port on http://");
    let address = line.split("http://").nth(1).unwrap();
    let end = address.find('"').unwrap_or(address.len());
    let address = address[..end].parse().unwrap();
    (server, address)
}

fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).get(target)
}

fn put(address: SocketAddr, target: &str, body: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.read()
}

fn delete(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).request("DELETE", target, "")
}

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
fn faults_need_the_debug_routes() {
    let (server, private) = start(&[]);
    put(private, "/faults", r#"{ "share": 100, "status": 503 }"#).assert_problem(404);
    assert_eq!(server.get("/api/v1/hello").status, 200);
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
    let backlog = json!({ "key": "server.backlog", "value": "7", "origin": origin });
    assert_eq!(row("settings", "server.backlog"), Some(backlog.clone()));
    let keep_alive = row("settings", "server.keep_alive").unwrap();
    assert_eq!(keep_alive["value"], "\"1m 15s\"");
    assert_eq!(keep_alive["origin"], "built-in default");
    let host = row("settings", "server.host").unwrap();
    assert_eq!(host["origin"], "environment variable BERTH__SERVER__HOST");
    assert!(!get(private, "/settings").text().contains("hunter2"));
    assert_eq!(row("needs_restart", "server.backlog"), None);

    std::fs::write(&file, text(8)).unwrap();
    eventually("told", || row("needs_restart", "server.backlog").is_some());
    let pending = row("needs_restart", "server.backlog").unwrap();
    assert_eq!(pending["value"], "8");
    assert_eq!(row("settings", "server.backlog"), Some(backlog));
    server.stop();
}

#[test]
fn the_log_filter_changes_for_a_while() {
    // The harness reads the addresses off the log.
    const WARN: &str = "warn,berth_kit::lifecycle=info,berth_kit::ports=info";
    let (server, private) = start(&[
        ("BERTH__LOG__FILTER", WARN),
        // A limit of the public port, and no business of this one.
        ("BERTH__SERVER__MAX_BODY_BYTES", "0"),
    ]);
    let filter = || {
        let mut body = get(private, "/log-filter").json();
        body.as_object_mut().unwrap().remove("reverts_in");
        body
    };
    assert_eq!(filter(), json!({ "filter": WARN, "settings": WARN }));
    let seen = |path: &str| {
        server.get(path);
        // The line is written after the answer.
        thread::sleep(Duration::from_millis(100));
        server.log().iter().any(|line| line.contains(path))
    };
    assert!(!seen("/a"));

    let answer = put(
        private,
        "/log-filter",
        r#"{ "filter": "info", "for": "1500ms" }"#,
    );
    assert_eq!(answer.json()["reverts_in"], "1s");
    assert!(seen("/b"));
    eventually("it reverts", || filter()["filter"] == WARN);
    assert!(!seen("/c"));

    // A later one is not ended by an earlier one's end.
    put(
        private,
        "/log-filter",
        r#"{ "filter": "info", "for": "500ms" }"#,
    );
    put(private, "/log-filter", r#"{ "filter": "debug" }"#);
    thread::sleep(Duration::from_millis(800));
    assert_eq!(filter()["filter"], "debug");
    assert_eq!(delete(private, "/log-filter").json(), filter());
    assert_eq!(filter()["filter"], WARN);

    for body in [
        "",
        "{}",
        "debug",
        r#"{ "filter": 1 }"#,
        r#"{ "filter": "" }"#,
        r#"{ "filter": "a=b=c" }"#,
        r#"{ "filter": "info", "for": "0s" }"#,
        r#"{ "filter": "info", "for": "25h" }"#,
        r#"{ "filter": "info", "for": 5 }"#,
        r#"{ "filter": "info", "fro": "5s" }"#,
    ] {
        put(private, "/log-filter", body).assert_problem(400);
        assert_eq!(filter()["filter"], WARN, "{body}");
    }
    server.stop();
}

#[test]
fn a_reload_does_not_end_a_filter_of_the_moment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "[log]\nfilter = \"info\"\n").unwrap();
    let (server, private) = start(&[("BERTH_CONFIG", file.to_str().unwrap())]);
    put(private, "/log-filter", r#"{ "filter": "debug" }"#);
    std::fs::write(&file, "[log]\nfilter = \"error\"\n").unwrap();
    let filter = || get(private, "/log-filter").json();
    eventually("the reload", || filter()["settings"] == "error");
    assert_eq!(filter()["filter"], "debug");
    assert_eq!(delete(private, "/log-filter").json()["filter"], "error");
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

mod faults {
    use super::*;

    fn start() -> (Berth, SocketAddr) {
        super::start(&[("BERTH__DEBUG__ROUTES", "true")])
    }

    fn injected(private: SocketAddr, endpoint: &str, kind: &str) -> usize {
        let series =
            format!("berth_faults_injected_total{{endpoint=\"{endpoint}\",kind=\"{kind}\"}}");
        let metrics = get(private, "/metrics");
        metrics.sample(&series).unwrap().parse().unwrap()
    }

    #[test]
    fn a_share_of_the_requests_fails_and_the_probes_never() {
        let (server, private) = start();
        assert_eq!(get(private, "/faults").json(), json!({ "active": false }));
        assert_eq!(injected(private, "/api/v1/hello", "error"), 0);

        let answer = put(private, "/faults", r#"{ "share": 20, "status": 503 }"#);
        assert_eq!(answer.json()["active"], true);
        let mut client = server.client();
        let failed = (0..2000)
            .filter(|_| client.get("/api/v1/hello").status == 503)
            .count();
        // Some 18 standard deviations would be needed to leave this.
        assert!((240..=560).contains(&failed), "{failed}");
        assert_eq!(injected(private, "/api/v1/hello", "error"), failed);
        assert_eq!(injected(private, "/api/v1/hello", "latency"), 0);

        put(private, "/faults", r#"{ "share": 100, "status": 500 }"#);
        let detail = client.get("/api/v1/hello").assert_problem(500);
        assert!(detail.contains("/faults"));
        client.get("/debug/status/200").assert_problem(500);
        for path in ["/health", "/ready", "/ready?verbose"] {
            assert_eq!(client.get(path).status, 200, "{path}");
        }
        for path in ["/health", "/ready", "/metrics", "/settings"] {
            assert_eq!(get(private, path).status, 200, "{path}");
        }
        // Nothing to inject into what is not there.
        client.get("/nothing").assert_problem(404);

        assert_eq!(
            delete(private, "/faults").json(),
            json!({ "active": false })
        );
        assert_eq!(client.get("/api/v1/hello").status, 200);
        server.stop();
    }

    #[test]
    fn requests_are_slow_where_it_was_asked_for() {
        let (server, private) = start();
        let timed = |path: &str| {
            let start = Instant::now();
            assert_eq!(server.get(path).status, 200);
            start.elapsed()
        };
        put(
            private,
            "/faults",
            r#"{ "share": 100, "latency": "300ms", "endpoints": ["/api/v1/hello"] }"#,
        );
        assert!(timed("/api/v1/hello") >= Duration::from_millis(300));
        assert!(timed("/api/v1/info") < Duration::from_millis(250));
        assert_eq!(injected(private, "/api/v1/hello", "latency"), 1);
        assert_eq!(injected(private, "/api/v1/hello", "error"), 0);

        let shown = put(
            private,
            "/faults",
            r#"{ "share": 100, "latency": { "min": "50ms", "max": "150ms" }, "endpoints": ["/api/v1/hello"], "for": "1h" }"#,
        );
        assert_eq!(
            shown.json(),
            json!({
                "active": true,
                "share": 100.0,
                "latency": { "min": "50ms", "max": "150ms" },
                "endpoints": ["/api/v1/hello"],
                "ends_in": "59m59s"
            })
        );
        let all: Vec<_> = (0..20).map(|_| timed("/api/v1/hello")).collect();
        let (min, max) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*min >= Duration::from_millis(50), "{all:?}");
        assert!(*max >= *min + Duration::from_millis(20), "{all:?}");
        server.stop();
    }

    #[test]
    fn they_end_by_themselves() {
        let (mut server, private) = start();
        put(
            private,
            "/faults",
            r#"{ "share": 100, "status": 503, "for": "500ms" }"#,
        );
        server.get("/api/v1/hello").assert_problem(503);
        eventually("over", || server.get("/api/v1/hello").status == 200);
        assert_eq!(get(private, "/faults").json(), json!({ "active": false }));
        server.wait_for_log("faults off");

        // A later plan is not ended by an earlier one's end.
        put(
            private,
            "/faults",
            r#"{ "share": 100, "status": 503, "for": "300ms" }"#,
        );
        put(private, "/faults", r#"{ "share": 100, "status": 500 }"#);
        thread::sleep(Duration::from_millis(600));
        server.get("/api/v1/hello").assert_problem(500);
        server.stop();
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let (server, private) = start();
        for body in [
            "",
            "{}",
            "[]",
            r#"{ "share": 10 }"#,
            r#"{ "status": 503 }"#,
            r#"{ "share": -1, "status": 503 }"#,
            r#"{ "share": 100.5, "status": 503 }"#,
            r#"{ "share": "10", "status": 503 }"#,
            r#"{ "share": 1e999, "status": 503 }"#,
            r#"{ "share": 10, "status": 200 }"#,
            r#"{ "share": 10, "status": 600 }"#,
            r#"{ "share": 10, "status": -1 }"#,
            r#"{ "share": 10, "latency": "2m" }"#,
            r#"{ "share": 10, "latency": 5 }"#,
            r#"{ "share": 10, "latency": { "min": "2s", "max": "1s" } }"#,
            r#"{ "share": 10, "latency": { "min": "2s" } }"#,
            r#"{ "share": 10, "latency": { "min": "1s", "max": "2s", "mean": "1s" } }"#,
            r#"{ "share": 10, "status": 503, "endpoints": [] }"#,
            r#"{ "share": 10, "status": 503, "endpoints": ["/health"] }"#,
            r#"{ "share": 10, "status": 503, "endpoints": ["/ready"] }"#,
            r#"{ "share": 10, "status": 503, "endpoints": ["/nothing"] }"#,
            r#"{ "share": 10, "status": 503, "for": "0s" }"#,
            r#"{ "share": 10, "status": 503, "for": "25h" }"#,
            r#"{ "share": 10, "status": 503, "speed": 1 }"#,
            r#"{ "share": 10, "share": 20, "status": 503 }"#,
        ] {
            put(private, "/faults", body).assert_problem(400);
            assert_eq!(
                get(private, "/faults").json(),
                json!({ "active": false }),
                "{body}"
            );
        }
        server.stop();
    }
}
