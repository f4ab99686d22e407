//! The HTTP contract, row by row.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use berth_testkit::Response;

use crate::process::Berth;

#[track_caller]
fn assert_json(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let length = response.body.len().to_string();
    assert_eq!(response.header("content-length"), Some(length.as_str()));
    assert!(response.header("date").is_some());
    assert_eq!(response.header("x-request-id").unwrap().len(), 32);
    assert_eq!(
        response.header("connection"),
        None,
        "keep-alive is HTTP/1.1's default"
    );
    response.json()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn health() {
    let server = Berth::start(&[]);
    let response = server.get("/health");
    let body = assert_json(&response);
    assert_eq!(keys(&body), ["status", "uptime"]);
    assert_eq!(body["status"], "healthy");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(body["uptime"], "0s");
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(server.get("/health").json()["uptime"], "1s");
}

#[test]
fn ready() {
    let server = Berth::start(&[]);
    let body = assert_json(&server.get("/ready"));
    assert_eq!(keys(&body), ["status", "uptime"]);
    assert_eq!(body["status"], "ready");
}

#[test]
fn hello() {
    let server = Berth::start(&[("HOSTNAME", "berth-7d4b9")]);
    let body = assert_json(&server.get("/api/v1/hello"));
    assert_eq!(keys(&body), ["message", "pod", "timestamp"]);
    assert_eq!(body["message"], "Hello, CloudNative!");
    assert_eq!(body["pod"], "berth-7d4b9");
    let timestamp = body["timestamp"].as_str().unwrap();
    assert!(
        timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T',
        "{timestamp}"
    );

    for (query, message) in [
        ("?name=Ada", "Hello, Ada!"),
        ("?name=Ada+Lovelace", "Hello, Ada Lovelace!"),
        ("?name=%F0%9F%A6%80", "Hello, 🦀!"),
        ("?name=%3Cb%3E%22%5C", "Hello, <b>\"\\!"),
        ("?unknown=1", "Hello, CloudNative!"),
        ("?", "Hello, CloudNative!"),
    ] {
        let body = assert_json(&server.get(&format!("/api/v1/hello{query}")));
        assert_eq!(body["message"], message);
    }
    let longest = "é".repeat(64);
    let query = format!("/api/v1/hello?name={}", "%C3%A9".repeat(64));
    assert_eq!(
        server.get(&query).json()["message"],
        format!("Hello, {longest}!")
    );
}

#[test]
fn info_comes_from_the_build_and_the_settings() {
    let server = Berth::start(&[
        ("APP_NAME", "shop"),
        ("VERSION", "7.8.9"),
        ("ENVIRONMENT", "staging"),
        ("HOSTNAME", "shop-0"),
    ]);
    let body = assert_json(&server.get("/api/v1/info"));
    assert_eq!(
        keys(&body),
        [
            "app", "env", "hostname", "message", "revision", "rustc", "version"
        ]
    );
    assert_eq!(body["app"], "shop");
    assert_eq!(body["version"], "7.8.9");
    assert_eq!(body["env"], "staging");
    assert_eq!(body["hostname"], "shop-0");
    assert_eq!(body["rustc"], env!("CARGO_PKG_RUST_VERSION"));
    assert_eq!(body["revision"], "unknown");
    assert_eq!(body["message"], "shop 7.8.9 in staging");
}

#[test]
fn without_hostname_the_system_is_asked() {
    let server = Berth::start(&[]);
    let hostname = server.get("/api/v1/info").json()["hostname"].clone();
    let system = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(hostname, system.trim());
}

#[test]
fn head_is_get_without_its_body() {
    let server = Berth::start(&[]);
    let mut client = server.client();
    for path in [
        "/health",
        "/ready",
        "/api/v1/hello",
        "/api/v1/info",
        "/metrics",
        "/openapi.json",
    ] {
        let head = client.request("HEAD", path, "");
        assert_eq!(head.status, 200, "{path}");
        let get = client.get(path);
        assert_eq!(head.header("content-type"), get.header("content-type"));
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), get.header("content-length"));
        }
    }
    assert_eq!(client.request("HEAD", "/nowhere", "").status, 404);
}

#[test]
fn openapi_describes_what_is_served() {
    let server = Berth::start(&[]);
    let document = assert_json(&server.get("/openapi.json"));
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(
        paths.keys().collect::<Vec<_>>(),
        [
            "/api/v1/hello",
            "/api/v1/info",
            "/health",
            "/metrics",
            "/openapi.json",
            "/ready",
            "/ready/{check}"
        ]
    );
    for (path, item) in paths.iter().filter(|(path, _)| !path.contains('{')) {
        let response = server.get(path);
        let documented = &item["get"]["responses"]["200"]["content"];
        let media_type = response.header("content-type").unwrap();
        let media_type = media_type.split(';').next().unwrap();
        assert!(documented.get(media_type).is_some(), "{path}: {documented}");
    }

    let with_debug = Berth::debug(&[("BERTH__METRICS__ENABLED", "false")]);
    let document = with_debug.get("/openapi.json").json();
    assert_eq!(
        document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        [
            "/api/v1/hello",
            "/api/v1/info",
            "/debug/block/{duration}",
            "/debug/bytes/{n}",
            "/debug/delay/{duration}",
            "/debug/echo",
            "/debug/headers",
            "/debug/panic",
            "/debug/status/{code}",
            "/health",
            "/openapi.json",
            "/ready",
            "/ready/{check}"
        ]
    );
}

#[test]
fn a_request_id_is_taken_over_or_made() {
    let server = Berth::start(&[]);
    let mut client = server.client();
    let given = client.request("GET", "/health", "X-Request-Id: abc-123\r\n");
    assert_eq!(given.header("x-request-id"), Some("abc-123"));
    let refused = client.request("GET", "/health", "X-Request-Id: \"quoted\" text\r\n");
    assert_eq!(refused.header("x-request-id").unwrap().len(), 32);
    let on_error = client.request("GET", "/nowhere", "X-Request-Id: abc-124\r\n");
    assert_eq!(on_error.header("x-request-id"), Some("abc-124"));
}

#[test]
fn a_path_is_compared_after_percent_decoding() {
    let server = Berth::start(&[]);
    assert_eq!(server.get("/%68ealth").status, 200);
    assert_eq!(server.get("/health%2f").status, 404);
    assert_eq!(server.get("/health?x=%zz").status, 200);
    assert_eq!(server.get("http://other/health").status, 200);
    assert_eq!(json!(server.get("/health/").status), 404);
}
