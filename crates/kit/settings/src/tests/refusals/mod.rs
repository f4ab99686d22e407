use super::*;

mod hostile_input;
mod hosts;
mod proxies;

#[test]
fn unknown_keys_show_no_value() {
    let file = "hunter = 1\n[server]\nprot = 'hunter2'\n'a.b' = 1\n[serverr]\n[db]\npassword = 'hunter2'\n";
    let text = faults(with_file(
        "a.toml",
        file,
        &[
            ("BERTH__SERVER__PORTS", "hunter2"),
            ("BERTH__Server__Port", "1"),
            ("BERTH__", "x"),
        ],
    ))
    .to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    assert_eq!(lines[0], "8 faults in the settings:");
    assert_eq!(lines.len(), 9);
    assert!(lines[1..].is_sorted());
    for expected in [
        "did you mean `server.port` (BERTH__SERVER__PORT)?",
        "server.ports (environment variable BERTH__SERVER__PORTS): unknown key; ",
        r#""Server"."Port" (environment variable BERTH__Server__Port): unknown key; did"#,
        r#""" (environment variable BERTH__): unknown key"#,
        "a.toml): unknown key; did you mean `server.port`?",
        "db.password (file ",
        r#"server."a.b" (file "#,
        "serverr (file ",
        "hunter (file ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn sections_and_keys_are_not_mistaken() {
    for (name, text) in [
        ("a.toml", "server = 3\n"),
        ("a.toml", "[[server]]\nport = 1\n"),
        ("a.yaml", "server: localhost\n"),
    ] {
        let problem = "server: is a section, not a key: set the keys in it, such as `server.host`";
        assert_eq!(problems(from_file(name, text)), [problem]);
    }
    let problem = "server.port: must be a whole number from 0 to 65535, not a table";
    assert_eq!(
        problems(from_file("a.toml", "server.port.x = 1\n")),
        [problem]
    );
    let problem =
        "app.name: must be 1 to 64 characters without control characters, and no URL, not a list";
    assert_eq!(
        problems(from_file("a.toml", "app.name = ['a']\n")),
        [problem]
    );
    assert!(from_file("a.yaml", "server:\nlog: {}\n").is_ok());
    // A key with a dot in it is not a key in a section.
    let problem = "\"server.port\": unknown key; did you mean `server.port`?";
    assert_eq!(
        problems(from_file("a.toml", "'server.port' = 1\n")),
        [problem]
    );
}

#[test]
fn a_file_has_strict_types() {
    let number = "must be a whole number from 0 to 65535";
    let label = "must be 1 to 64 characters without control characters, and no URL";
    for (text, problem) in [
        ("server.port = '8080'", format!("server.port = \"8080\": {number}, without quotes")),
        ("server.port = 'x'", format!("server.port = \"x\": {number}")),
        ("server.port = true", format!("server.port = true: {number}")),
        ("server.port = 80.5", format!("server.port = 80.5: {number}")),
        ("server.port = 80.0", format!("server.port = 80.0: {number}")),
        ("server.port = nan", format!("server.port = NaN: {number}")),
        ("app.version = 5", format!("app.version = 5: {label}, in quotes")),
        ("app.name = true", format!("app.name = true: {label}, in quotes")),
        ("log.access = 1", "log.access = 1: must be true or false".to_owned()),
        ("log.access = 'true'", "log.access = \"true\": must be true or false, without quotes".to_owned()),
        ("log.format = 1", "log.format = 1: must be \"text\" or \"json\", in quotes".to_owned()),
        (
            "server.workers = '4'",
            "server.workers = \"4\": must be \"auto\" or a whole number from 1 to 512, without quotes".to_owned(),
        ),
        (
            "server.keep_alive = 5",
            "server.keep_alive = 5: must be a duration from 0s to 1h: write a unit, for example `5s`, in quotes"
                .to_owned(),
        ),
    ] {
        assert_eq!(problems(from_file("a.toml", text)), [problem]);
    }
    let problem = format!("app.name = 5: {label}, in quotes");
    assert_eq!(
        problems(from_file("a.yaml", "app:\n  name: 5\n")),
        [problem]
    );
    let problem = format!("app.name: {label}, but it has no value: give it one or remove it");
    assert_eq!(problems(from_file("a.yaml", "app:\n  name:\n")), [problem]);
    let problem = "log.access = \"yes\": must be true or false";
    assert_eq!(
        problems(from_file("a.yaml", "log: {access: yes}")),
        [problem]
    );
}

#[test]
fn ranges_end_where_they_say() {
    for (key, inside, outside) in [
        ("server.port", ["0", "65535"], ["-1", "65536"]),
        ("server.workers", ["1", "512"], ["0", "513"]),
        ("server.keep_alive", ["0s", "1h"], [" ", "3600001ms"]),
        ("server.request_timeout", ["1ms", "1h"], ["999us", "61m"]),
        (
            "server.client_header_timeout",
            ["1ms", "5m"],
            ["0s", "301s"],
        ),
        (
            "server.max_body_bytes",
            ["0", "1073741824"],
            ["-1", "1073741825"],
        ),
        (
            "server.upgrade_idle_timeout",
            ["1s", "1d"],
            ["999ms", "25h"],
        ),
        ("server.max_connections", ["1", "1000000"], ["0", "1000001"]),
        ("server.max_in_flight", ["1", "1000000"], ["0", "1000001"]),
        (
            "server.memory_budget",
            ["16777216", "1099511627776"],
            ["16777215", "1099511627777"],
        ),
        ("server.backlog", ["1", "65535"], ["0", "65536"]),
        ("shutdown.drain_delay", ["0s", "10m"], ["0", "601s"]),
        ("shutdown.timeout", ["0s", "1h"], ["500ms", "3601s"]),
        ("shutdown.grace_period", ["5s", "2h"], ["999ms", "7201s"]),
    ] {
        for text in inside {
            from_env(&[(&variable(key), text)]).unwrap();
        }
        for text in outside {
            let faults = faults(from_env(&[(&variable(key), text)]));
            assert_eq!((faults.len(), faults[0].key.as_str()), (1, key), "{text}");
        }
    }
    let problem = "shutdown.timeout = \"1500ms\": must be whole seconds: actix counts its shutdown in seconds";
    assert_eq!(
        problems(from_env(&[("BERTH__SHUTDOWN__TIMEOUT", "1500ms")])),
        [problem]
    );
}

#[test]
fn all_faults_at_once_in_the_order_of_keys() {
    let variables: Vec<_> = KEYS
        .map(|(key, ..)| (variable(key), "\n".repeat(999)))
        .into();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let faults = faults(with_file(
        "a.toml",
        "server.x = 1\na.b = 2\n[[log]]\n",
        &variables,
    ));
    assert_eq!(faults.len(), 31 + 3);
    assert!(faults.is_sorted_by_key(|fault| &fault.key));
    let text = faults.to_string();
    assert_eq!(text.lines().count(), 35);
    assert!(text.lines().all(|line| line.chars().count() < 500));
    assert!(text.contains(&format!("server.port = \"{}…\" (", "\\n".repeat(80))));
}

#[test]
fn two_listeners_on_one_port() {
    let ports =
        |public, private| from_env(&[("PORT", public), ("BERTH__MANAGEMENT__PORT", private)]);
    assert_eq!(
        problems(ports("9090", "9090")),
        [
            "management.port = 9090: must not be server.port, too; server.port = 9090 (environment variable PORT)"
        ]
    );
    assert!(ports("8080", "9090").is_ok());
    assert!(ports("0", "0").is_ok());
}

#[test]
fn a_drain_longer_than_the_grace_period() {
    let drain = |delay, timeout, grace| {
        from_env(&[
            ("BERTH__SHUTDOWN__DRAIN_DELAY", delay),
            ("BERTH__SHUTDOWN__TIMEOUT", timeout),
            ("BERTH__SHUTDOWN__GRACE_PERIOD", grace),
        ])
    };
    assert!(drain("10s", "20s", "30s").is_ok());
    assert_eq!(
        problems(drain("10s", "21s", "30s")),
        [
            "shutdown.grace_period = \"30s\": must be at least 31s, the sum of the other two; shutdown.drain_delay = \"10s\" \
          (environment variable BERTH__SHUTDOWN__DRAIN_DELAY); shutdown.timeout = \"21s\" \
          (environment variable BERTH__SHUTDOWN__TIMEOUT)"
        ]
    );
    assert_eq!(faults(drain("1ms", "30s", "30s")).len(), 1);
    // The default timeout that stands in for the faulty one is not held against it.
    assert_eq!(problems(drain("0s", "5", "1s")).len(), 1);
}
