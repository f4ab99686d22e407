//! The log filter of the moment.

use std::{thread, time::Duration};

use serde_json::json;

use berth_testkit::eventually;

use super::{delete, get, put, start};

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
        r#"{ "filter": "warning" }"#,
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
