//! The exposition: names, labels, and a number of series that no client can move.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process::Berth;

/// The series in an exposition: lines that are not comments, without their values.
fn series(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

pub(crate) fn value(text: &str, series: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {series} in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn the_names_and_labels_are_the_contracts() {
    let server = Berth::start(&[("VERSION", "1.2.3")]);
    let response = server.get("/metrics");
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = response.text();
    for (name, kind) in [
        ("api_requests_total", "counter"),
        ("api_request_duration_seconds", "histogram"),
        ("api_requests_in_flight", "gauge"),
        ("berth_build_info", "gauge"),
        ("berth_ready", "gauge"),
        ("berth_panics_total", "counter"),
        ("api_requests_shed_total", "counter"),
        ("berth_connections_evicted_total", "counter"),
        ("berth_open_connections", "gauge"),
        ("berth_connections_max", "gauge"),
        ("berth_log_lines_lost_total", "counter"),
        ("berth_requests_outlasting_shutdown_total", "counter"),
        ("berth_memory_limit_bytes", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_start_time_seconds", "gauge"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    let build = text
        .lines()
        .find(|line| line.starts_with("berth_build_info{"))
        .unwrap();
    assert!(
        build.contains("version=\"1.2.3\"") && build.ends_with(" 1"),
        "{build}"
    );
    assert!(
        build.contains("revision=") && build.contains("rustc="),
        "{build}"
    );
    assert!(value(text, "berth_ready") > 0.0);

    let buckets: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(
                "api_request_duration_seconds_bucket{endpoint=\"/ready\",method=\"GET\",le=\"",
            )?;
            rest.split('"').next()
        })
        .collect();
    assert_eq!(
        buckets,
        [
            "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
            "1", "2.5", "5", "10", "+Inf"
        ]
    );
    // Known routes start at 0, the one that was asked at 1, and the scrape is not counted.
    let total = |endpoint: &str| {
        value(
            text,
            &format!("api_requests_total{{endpoint=\"{endpoint}\",method=\"GET\",status=\"200\"}}"),
        )
    };
    assert!(total("/ready") < 0.5);
    assert!((total("/health") - 1.0).abs() < 0.5);
    assert!(!text.contains("endpoint=\"/metrics\""));
    assert!(value(text, "api_requests_in_flight") < 0.5);
}

#[test]
fn requests_that_a_stop_would_cut_off_are_counted_before_one_comes() {
    let server = Berth::debug(&[("BERTH__SHUTDOWN__TIMEOUT", "1s")]);
    let outlasting = || {
        let text = server.get("/metrics").text().to_owned();
        value(&text, "berth_requests_outlasting_shutdown_total")
    };
    server.get("/debug/delay/100ms");
    assert!(outlasting() < 0.5);
    server.get("/debug/delay/1100ms");
    assert!((outlasting() - 1.0).abs() < 0.5);
}

#[test]
fn the_path_can_be_changed_and_the_endpoint_turned_off() {
    let server = Berth::start(&[("BERTH__METRICS__PATH", "/internal/prom")]);
    assert!(
        server
            .get("/internal/prom")
            .text()
            .contains("berth_ready 1")
    );
    server.get("/metrics").assert_problem(404);
    let server = Berth::start(&[("BERTH__METRICS__ENABLED", "false")]);
    server.get("/metrics").assert_problem(404);
}

#[test]
fn random_paths_and_methods_add_no_series() {
    const METHODS: [&str; 12] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW",
        "PROPFIND", "get",
    ];
    let server = Berth::start(&[("BERTH__LOG__ACCESS", "false")]);
    let before = series(server.get("/metrics").text());
    let mut client = server.client();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        // xorshift: the same paths on every run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for i in 0..2000 {
        let path = match i % 4 {
            0 => format!("/{:x}", random()),
            1 => format!("/api/v1/hello/{}", random()),
            2 => format!("/{:x}/{:x}?q={}", random(), random(), random()),
            _ => format!("/health/%{:02x}", random() & 0xff),
        };
        for method in METHODS {
            let response = client.request(method, &path, "");
            assert_eq!(response.status, 404, "{method} {path}");
            if method == "CONNECT" || response.header("connection") == Some("close") {
                client = server.client();
            }
        }
    }
    let text = server.get("/metrics");
    let text = text.text();
    assert_eq!(series(text), before);
    let unmatched: f64 = text
        .lines()
        .filter(|line| line.starts_with("api_requests_total{endpoint=\"unmatched\""))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!((unmatched - 24_000.0).abs() < 0.5, "{unmatched}");
    let other = value(
        text,
        "api_requests_total{endpoint=\"unmatched\",method=\"other\",status=\"404\"}",
    );
    assert!((other - 6000.0).abs() < 0.5, "{other}");
}

#[test]
fn every_way_to_end_is_counted_once() {
    let server = Berth::debug(&[
        ("BERTH__SERVER__REQUEST_TIMEOUT", "1s"),
        ("BERTH__SERVER__MAX_BODY_BYTES", "10"),
    ]);
    let mut client = server.client();
    client.get("/api/v1/hello?name=%zz");
    client.request("POST", "/ready", "");
    client.get("/debug/panic");
    client.get("/debug/delay/5s");
    client.get(&format!("/{}", "x".repeat(9000)));
    let mut large = server.client();
    large.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n");
    large.read();
    // Left while the handler is at work: a reset, so that the server sees it at once.
    let mut left = server.client();
    left.send("POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n123");
    left.read_raw(1);
    drop(left);

    let expected = [
        ("/api/v1/hello", "GET", 400),
        ("/ready", "POST", 405),
        ("/debug/panic", "GET", 500),
        ("/debug/delay/{duration}", "GET", 503),
        ("unmatched", "GET", 414),
        ("/debug/echo", "POST", 413),
        ("/debug/echo", "POST", 200),
    ];
    let deadline = Instant::now() + Duration::from_secs(10);
    while value(server.get("/metrics").text(), "api_requests_in_flight") > 0.5 {
        assert!(
            Instant::now() < deadline,
            "the request that was left stays in flight"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let text = server.get("/metrics");
    let text = text.text();
    for (endpoint, method, status) in expected {
        let labels = format!("{{endpoint=\"{endpoint}\",method=\"{method}\"");
        let total = value(
            text,
            &format!("api_requests_total{labels},status=\"{status}\"}}"),
        );
        assert!((total - 1.0).abs() < 0.5, "{endpoint} {status}: {total}");
    }
    let sum = |prefix: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with(prefix))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    let counted = sum("api_requests_total{");
    let timed = sum("api_request_duration_seconds_count{");
    assert!(
        (counted - timed).abs() < 0.5,
        "{counted} counted, {timed} timed"
    );
}

/// Prometheus' own judgement of names, types and help texts.
#[test]
#[ignore = "needs promtool, of the Debian package prometheus; .ci/run has it"]
fn promtool_accepts_the_exposition() {
    let server = Berth::debug(&[]);
    for path in [
        "/api/v1/hello",
        "/nowhere",
        "/debug/status/503",
        "/debug/panic",
    ] {
        server.get(path);
    }
    let exposition = server.get("/metrics");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(&exposition.body)
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
