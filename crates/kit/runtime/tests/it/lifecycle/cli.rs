//! The command line: version, help, `check` and `healthcheck`.

use std::{
    net::TcpListener,
    process::Output,
    time::{Duration, Instant},
};

use berth_testkit::Client;

use crate::process::{Berth, berth, free_port};

fn run(environment: &[(&str, &str)], args: &[&str]) -> Output {
    berth(environment).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn version_says_what_the_binary_was_built_from() {
    let output = run(&[], &["--version"]);
    let text = stdout(&output);
    let expected = format!("berth {} (revision ", env!("CARGO_PKG_VERSION"));
    assert!(
        text.starts_with(&expected) && text.contains("rustc 1."),
        "{text}"
    );
}

#[test]
fn help_teaches() {
    let text = stdout(&run(&[], &["--help"]));
    for word in [
        "BERTH__SECTION__KEY",
        "PORT",
        "SIGTERM",
        "Exit codes",
        "check",
        "healthcheck",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(run(&[], &["--nonsense"]).status.code(), Some(2));
}

#[test]
fn check_prints_every_setting_with_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("berth.toml");
    std::fs::write(&file, "[server]\nport = 7000\nkeep_alive = \"10s\"\n").unwrap();
    let file = file.to_str().unwrap();
    let output = run(&[("PORT", "9000")], &["check", "--config", file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let row = |key: &str| {
        let start = format!("{key} = ");
        let row = text.lines().find(|row| row.starts_with(&start)).unwrap();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        row("server.port"),
        "server.port = 9000 # environment variable PORT"
    );
    assert_eq!(
        row("server.keep_alive"),
        format!("server.keep_alive = \"10s\" # file {file}")
    );
    assert_eq!(
        row("server.backlog"),
        "server.backlog = 1024 # built-in default"
    );
}

#[test]
fn check_lists_every_fault() {
    let output = run(
        &[
            ("PORT", "99999"),
            ("BERTH__LOG__FORMAT", "xml"),
            ("BERTH__SERVER__PROT", "1"),
        ],
        &["check"],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for part in [
        "3 faults",
        "99999",
        "PORT",
        "xml",
        "log.format",
        "server.prot",
        "server.port",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn healthcheck_finds_the_server_by_its_settings() {
    for (host, listens) in [
        ("127.0.0.1", true),
        ("0.0.0.0", true),
        ("::", has_ipv6()),
        ("localhost", true),
    ] {
        if !listens {
            continue;
        }
        let port = free_port().to_string();
        let settings = [("BERTH__SERVER__HOST", host), ("PORT", port.as_str())];
        let before = run(&settings, &["healthcheck"]);
        assert_eq!(before.status.code(), Some(1), "{host}: nothing listens yet");
        assert!(
            stderr(&before).starts_with("unhealthy: "),
            "{}",
            stderr(&before)
        );

        let server = Berth::start_at(&settings, port.parse().unwrap());
        let output = run(&settings, &["healthcheck"]);
        assert_eq!(output.status.code(), Some(0), "{host}: {}", stderr(&output));
        server.stop();
    }
}

#[test]
fn healthcheck_gives_up_within_two_seconds() {
    // Accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let start = Instant::now();
    let output = run(&[("PORT", &port)], &["healthcheck"]);
    assert_eq!(output.status.code(), Some(1));
    let took = start.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[test]
fn healthcheck_is_unhealthy_on_anything_but_200() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let other = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let size = stream.read(&mut request).unwrap();
        assert!(request[..size].starts_with(b"GET /health HTTP/1.1\r\n"));
        stream
            .write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    });
    let output = run(&[("PORT", &port)], &["healthcheck"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("500"), "{}", stderr(&output));
    other.join().unwrap();
    // Bad settings are a failed check too: Docker knows no other code.
    assert_eq!(
        run(&[("PORT", "x")], &["healthcheck"]).status.code(),
        Some(1)
    );
}

/// Whatever is wrong with the settings, it is the same to whoever starts the program and to whoever asks `check`.
#[track_caller]
fn refused(environment: &[(&str, &str)], says: &str) {
    for args in [&["check"][..], &[]] {
        let output = run(environment, args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
}

#[test]
#[cfg(not(feature = "check-redis"))]
fn check_passes_nothing_that_the_program_cannot_do() {
    let checks = "[{ name = 'cache', url = 'redis://:hunter2@cache' }]";
    refused(
        &[("BERTH__READINESS__CHECKS", checks)],
        "cargo feature check-redis",
    );
}

#[test]
fn a_filter_that_would_silence_the_log_is_refused() {
    for (filter, says) in [
        ("warning", "did you mean `warn`?"),
        ("info:berth", "did you mean `info,berth=info`?"),
        ("berth_kit", "write `info,berth_kit=trace`"),
    ] {
        refused(&[("BERTH__LOG__FILTER", filter)], says);
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), "[server]\nport = 7000\n").unwrap();
    let environment = [
        ("PORT", ""),
        ("BERTH__SERVER__PORT", ""),
        ("BERTH__SERVER__TRUSTED_PROXIES", ""),
        ("BERTH__APP__NAME", ""),
        ("BERTH_CONFIG", file.path().to_str().unwrap()),
    ];
    let output = run(&environment, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for row in [
        "server.port = 7000 ",
        "server.trusted_proxies = [] ",
        "app.name = \"berth\" ",
    ] {
        assert!(text.contains(row), "{row} in {text}");
    }
}

#[test]
fn a_variable_that_nearly_names_a_setting_is_told_and_changes_nothing() {
    let environment = [
        ("BERTH_SERVER__BACKLOG", "7"),
        ("berth__log__filter", "off"),
        // What Kubernetes sets for the Services `berth` and `berth-server`.
        ("BERTH_SERVICE_HOST", "10.0.0.1"),
        ("BERTH_PORT", "tcp://10.0.0.1:80"),
        ("BERTH_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("BERTH_SERVER_SERVICE_HOST", "10.0.0.2"),
        ("BERTH_SERVER_PORT", "tcp://10.0.0.2:80"),
    ];
    let told = [
        "the environment variable BERTH_SERVER__BACKLOG is ignored: did you mean BERTH__SERVER__BACKLOG?",
        "the environment variable berth__log__filter is ignored: did you mean BERTH__LOG__FILTER?",
    ];
    let output = run(&environment, &["check"]);
    assert_eq!(output.status.code(), Some(0));
    let lines = told.map(|told| format!("warning: {told}\n")).concat();
    assert_eq!(stderr(&output), lines);
    assert!(stdout(&output).contains("server.backlog = 1024 "));

    let log = Berth::start(&environment).stop();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), told.len(), "{log:#?}");
    for (line, told) in warnings.iter().zip(told) {
        assert!(line.ends_with(told), "{line}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_fault_of_the_settings() {
    let environment = [("BERTH_CONFIG", "/nowhere/settings.toml")];
    refused(&environment, "/nowhere/settings.toml");
    // Docker knows no other code.
    assert_eq!(run(&environment, &["healthcheck"]).status.code(), Some(1));
}

#[test]
fn a_long_value_moves_no_other_origin() {
    let checks = "[{ name = 'a', url = 'tcp://127.0.0.1:1' }]";
    let text = stdout(&run(&[("BERTH__READINESS__CHECKS", checks)], &["check"]));
    for row in text.lines().filter(|row| !row.starts_with("readiness.")) {
        let at = row.find("  # ").unwrap();
        assert!(at <= 60, "{row}");
    }
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn metrics_are_not_served_at_the_path_of_another_route() {
    const PUBLIC: (&str, &str) = ("BERTH__MANAGEMENT__PORT", "");
    const PRIVATE: (&str, &str) = ("BERTH__MANAGEMENT__PORT", "0");
    const DEBUG: (&str, &str) = ("BERTH__DEBUG__ROUTES", "true");
    const QUIET: (&str, &str) = ("BERTH__DEBUG__ROUTES", "false");
    for (path, other, port, debug) in [
        ("/health", "/health", PUBLIC, QUIET),
        ("/ready", "/ready", PUBLIC, QUIET),
        ("/ready/metrics", "/ready/{check}", PUBLIC, QUIET),
        ("/openapi.json", "/openapi.json", PUBLIC, QUIET),
        ("/debug/echo", "/debug/echo", PUBLIC, DEBUG),
        ("/debug/delay/1s", "/debug/delay/{duration}", PUBLIC, DEBUG),
        ("/health", "/health", PRIVATE, QUIET),
        ("/ready/metrics", "/ready/{check}", PRIVATE, QUIET),
        ("/settings", "/settings", PRIVATE, QUIET),
        ("/log-filter", "/log-filter", PRIVATE, QUIET),
        ("/faults", "/faults", PRIVATE, DEBUG),
    ] {
        let says = format!(
            "1 fault in the settings:\n  metrics.path = \"{path}\" (environment variable BERTH__METRICS__PATH): must \
             not be the path of another route on its port: the kit's {other} answers there\n"
        );
        refused(&[("BERTH__METRICS__PATH", path), port, debug], &says);
    }
    // Nothing else is there.
    for (path, port, debug) in [
        ("/settings", PUBLIC, QUIET),
        ("/debug/echo", PUBLIC, QUIET),
        ("/api/v1/metrics", PUBLIC, QUIET),
        ("/faults", PRIVATE, QUIET),
        // Of the public port, where they are not.
        ("/api/v1/hello", PRIVATE, QUIET),
        ("/debug/echo", PRIVATE, DEBUG),
    ] {
        let environment = [("BERTH__METRICS__PATH", path), port, debug];
        assert_eq!(run(&environment, &["check"]).status.code(), Some(0));
        let mut server = Berth::start(&environment);
        let address = if port == PUBLIC {
            server.addr
        } else {
            let line = server.wait_for_log("management port on http://");
            line.rsplit("http://").next().unwrap().parse().unwrap()
        };
        let answer = Client::connect(address).get(path);
        assert!(answer.text().contains("\nberth_ready 1\n"), "{path}");
        server.stop();
    }
    // What the service mounts is known when it is built; where no metrics are served, they are in nobody's way.
    let path = ("BERTH__METRICS__PATH", "/api/v1/hello");
    let output = run(&[path], &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("metrics.path = \"/api/v1/hello\" (environment variable BERTH__METRICS__PATH): must not be")
            && text.contains("the service's own /api/v1/hello answers there"),
        "{text}"
    );
    let server = Berth::start(&[path, ("BERTH__METRICS__ENABLED", "false")]);
    assert_eq!(server.get("/api/v1/hello").status, 200);
    server.stop();
}
