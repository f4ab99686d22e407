use super::*;

#[test]
fn are_what_the_reference_says() {
    let loaded = from_env(&[]).unwrap();
    let expected = Settings {
        app: App {
            name: "berth".to_owned(),
            version: VERSION.to_owned(),
            environment: "development".to_owned(),
        },
        server: Server {
            host: "0.0.0.0".to_owned(),
            port: 8080,
            workers: Workers::Auto,
            keep_alive: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            client_header_timeout: Duration::from_secs(10),
            upgrade_idle_timeout: Duration::from_mins(5),
            max_body_bytes: 1_048_576,
            max_connections: 25_000,
            max_in_flight: None,
            memory_budget: None,
            backlog: 1024,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        },
        shutdown: Shutdown {
            drain_delay: Duration::ZERO,
            timeout: Duration::from_secs(5),
            grace_period: None,
        },
        readiness: Readiness { checks: Vec::new() },
        log: Log {
            filter: "info".to_owned(),
            format: LogFormat::Text,
            access: true,
            probes: false,
        },
        metrics: Metrics {
            enabled: true,
            path: "/metrics".to_owned(),
        },
        management: Management {
            host: None,
            port: None,
            allowed_hosts: Vec::new(),
        },
        debug: Debug { routes: false },
    };
    assert_eq!(loaded.settings, expected);
    assert_eq!(defaults(), expected);
    assert!(
        loaded
            .entries
            .iter()
            .all(|entry| entry.origin == Origin::Default)
    );
}

/// The file that users copy: valid as it is and with its commented keys in effect, and it
/// names every key once, in the order of the entries, each below a comment.
#[test]
fn file_is_the_complete_reference() {
    let text = layers::DEFAULTS;
    assert_eq!(from_file("a.toml", text).unwrap().settings, defaults());
    let all = text
        .replace("# name = ", "name = ")
        .replace("# version = ", "version = ")
        .replace("# max_in_flight = ", "max_in_flight = ")
        .replace("# memory_budget = ", "memory_budget = ")
        .replace("# grace_period = ", "grace_period = ")
        .replace("# host = ", "host = ")
        .replace("# port = ", "port = ");
    let loaded = from_file("a.toml", &all).unwrap();
    assert!(
        loaded
            .entries
            .iter()
            .all(|entry| matches!(entry.origin, Origin::File(_)))
    );

    let mut section = "";
    let mut above = "";
    let mut keys = Vec::new();
    for line in all.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(above.starts_with("# "), "{name} lacks a comment");
            keys.push(format!("{section}.{name}"));
        }
        above = line;
    }
    let known: Vec<_> = loaded.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, known);
    assert_eq!(known, KEYS.map(|(key, ..)| key)[..31]);
    let commented = text
        .lines()
        .filter(|line| line.starts_with("# ") && line.contains(" = "))
        .filter(|line| !line.starts_with("#   "));
    assert_eq!(
        commented.count(),
        7,
        "name, version, max_in_flight, memory_budget, grace_period, management.host and management.port, and nothing else"
    );
}

#[test]
fn entries_render_as_toml() {
    let loaded = from_env(&[]).unwrap();
    let value = |key| entry(&loaded, key).value.as_str();
    assert_eq!(value("app.name"), r#""berth""#);
    assert_eq!(value("server.workers"), r#""auto""#);
    assert_eq!(value("server.keep_alive"), r#""1m 15s""#);
    assert_eq!(value("shutdown.grace_period"), "(unset)");
    // All of them, read back, are the same settings.
    let mut text = String::new();
    for entry in loaded
        .entries
        .iter()
        .filter(|entry| entry.value != "(unset)")
    {
        text.extend([&*entry.key, " = ", &entry.value, "\n"]);
    }
    assert_eq!(from_file("a.toml", text).unwrap().settings, loaded.settings);
}
