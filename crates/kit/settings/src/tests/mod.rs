//! The crate as its callers see it: layers, faults, files.

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::reading::layers;

/// Whose settings the tests read.
pub(crate) const BERTH: ServiceName = ServiceName::new("berth");
/// What was built.
pub(crate) const VERSION: &str = "7.8.9";

/// Every key with a value that is not its default: in the environment, in TOML (as rendered),
/// in a file.
const KEYS: [(&str, &str, &str); 32] = [
    ("app.name", "renamed", r#""renamed""#),
    ("app.version", "2", r#""2""#),
    ("app.environment", "production", r#""production""#),
    ("server.host", "::1", r#""::1""#),
    ("server.port", "9000", "9000"),
    ("server.workers", "3", "3"),
    ("server.keep_alive", "0s", r#""0s""#),
    ("server.request_timeout", "1m 5s", r#""1m 5s""#),
    ("server.client_header_timeout", "250ms", r#""250ms""#),
    ("server.upgrade_idle_timeout", "90s", r#""1m 30s""#),
    ("server.max_body_bytes", "0", "0"),
    ("server.max_connections", "7", "7"),
    ("server.max_in_flight", "9", "9"),
    ("server.memory_budget", "50000000", "50000000"),
    ("server.backlog", "8", "8"),
    (
        "server.trusted_proxies",
        r#"["10.0.0.0/8", "::1"]"#,
        r#"["10.0.0.0/8", "::1/128"]"#,
    ),
    ("server.proxy_protocol", "true", "true"),
    ("shutdown.drain_delay", "5s", r#""5s""#),
    ("shutdown.timeout", "20s", r#""20s""#),
    ("shutdown.grace_period", "30s", r#""30s""#),
    (
        "readiness.checks",
        r#"[{ name = "db", url = "tcp://db:5432" }]"#,
        r#"[{ name = "db", url = "tcp://db:5432", interval = "10s", timeout = "2s", failure_threshold = 3, success_threshold = 1, required = true, status = "200-299" }]"#,
    ),
    ("log.filter", "warn,berth=debug", r#""warn,berth=debug""#),
    ("log.format", "json", r#""json""#),
    ("log.access", "false", "false"),
    ("log.probes", "true", "true"),
    ("metrics.enabled", "false", "false"),
    ("metrics.path", "/m", r#""/m""#),
    ("management.host", "127.0.0.1", r#""127.0.0.1""#),
    ("management.port", "9090", "9090"),
    (
        "management.allowed_hosts",
        r#"["Metrics.example.com.", ".prod.test"]"#,
        r#"["metrics.example.com", ".prod.test"]"#,
    ),
    ("debug.routes", "true", "true"),
    ("app.name", "last", r#""last""#),
];

/// What must be set beside this key, and cannot be by default.
fn needed(key: &str) -> Vec<(String, &'static str)> {
    match key {
        "server.proxy_protocol" => {
            vec![(variable("server.trusted_proxies"), r#"["10.0.0.0/8"]"#)]
        }
        _ => Vec::new(),
    }
}

/// `key` alone in the environment, with what it needs.
fn alone(key: &str, text: &'static str) -> Result<Loaded, Error> {
    let mut variables = needed(key);
    variables.push((variable(key), text));
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    from_env(&variables)
}

/// The built-in defaults of `BERTH`.
fn defaults() -> Settings {
    let mut settings = Settings::default();
    BERTH.as_str().clone_into(&mut settings.app.name);
    VERSION.clone_into(&mut settings.app.version);
    settings
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, Error> {
    load(&Sources {
        service: BERTH,
        version: VERSION,
        file: None,
        environment: environment(variables),
    })
}

fn from_file(name: &str, text: impl AsRef<[u8]>) -> Result<Loaded, Error> {
    with_file(name, text, &[])
}

fn with_file(
    name: &str,
    text: impl AsRef<[u8]>,
    variables: &[(&str, &str)],
) -> Result<Loaded, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    load(&Sources {
        service: BERTH,
        version: VERSION,
        file: Some(path),
        environment: environment(variables),
    })
}

fn faults(result: Result<Loaded, Error>) -> Faults {
    match result {
        Err(Error::Invalid(faults)) => faults,
        other => panic!("faults expected, not {other:?}"),
    }
}

/// The faults without where they came from.
fn problems(result: Result<Loaded, Error>) -> Vec<String> {
    let short = |fault: &Fault| match &fault.value {
        Some(value) => format!("{} = {value}: {}", fault.key, fault.problem),
        None => format!("{}: {}", fault.key, fault.problem),
    };
    faults(result).iter().map(short).collect()
}

fn variable(key: &str) -> String {
    BERTH.variable(key)
}

fn entry<'a>(loaded: &'a Loaded, key: &str) -> &'a Entry {
    loaded
        .entries
        .iter()
        .find(|entry| entry.key == key)
        .unwrap()
}

mod defaults;
mod files;
mod ignored;
mod layering;
mod names;
mod readiness_checks;
mod reference;
mod refusals;
mod reload;
mod secrets;
