//! Faults that are injected on purpose.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use berth_testkit::eventually;

use crate::process::Berth;

use super::{delete, get, put};

fn start() -> (Berth, SocketAddr) {
    super::start(&[("BERTH__DEBUG__ROUTES", "true")])
}

fn injected(private: SocketAddr, endpoint: &str, kind: &str) -> usize {
    let series = format!("berth_faults_injected_total{{endpoint=\"{endpoint}\",kind=\"{kind}\"}}");
    let metrics = get(private, "/metrics");
    metrics.sample(&series).unwrap().parse().unwrap()
}

#[test]
fn faults_need_the_debug_routes() {
    let (server, private) = super::start(&[]);
    put(private, "/faults", r#"{ "share": 100, "status": 503 }"#).assert_problem(404);
    assert_eq!(server.get("/api/v1/hello").status, 200);
    server.stop();
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
