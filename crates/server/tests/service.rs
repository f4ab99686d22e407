//! The service as a process: its endpoints over real sockets. What the kit does for every service is tested in the kit.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{env, fs, path::Path, process::Command};

use berth_kit::{Routes, build_info, openapi};
use berth_testkit::{Process, service};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_berth");

fn start(environment: &[(&str, &str)]) -> Process {
    Process::start(service("berth", PROGRAM, environment))
}

#[track_caller]
fn get(server: &Process, target: &str) -> Value {
    let response = server.get(target);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

#[test]
fn it_starts_is_ready_and_stops() {
    let mut server = start(&[]);
    server.wait_until_ready();
    assert_eq!(get(&server, "/ready")["status"], "ready");
    server.stop();
}

#[test]
fn it_says_what_it_was_built_from() {
    let output = Command::new(PROGRAM).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let info = get(&start(&[]), "/api/v1/info");
    for part in ["version", "revision", "rustc"] {
        let part = info[part].as_str().unwrap();
        assert!(!part.is_empty() && text.contains(part), "{part} in {text}");
    }
    assert!(info["rustc"].as_str().unwrap().starts_with("1."), "{info}");
}

#[test]
fn hello_greets_and_counts() {
    let server = start(&[("HOSTNAME", "pod-7d4b9")]);
    let greeting = get(&server, "/api/v1/hello");
    assert_eq!(greeting["message"], "Hello, CloudNative!");
    assert_eq!(greeting["pod"], "pod-7d4b9");
    let greeting = get(&server, "/api/v1/hello?name=%F0%9F%A6%80");
    assert_eq!(greeting["message"], "Hello, 🦀!");
    let detail = server.get("/api/v1/hello?name=").assert_problem(400);
    assert!(detail.contains("1 to 64"), "{detail}");
    let greetings = server.get("/metrics");
    assert_eq!(greetings.sample("berth_greetings_total"), Some("2"));
}

#[test]
fn the_greeting_is_a_setting() {
    let server = start(&[
        ("BERTH__HELLO__GREETING", "Ahoy"),
        ("BERTH__LOG__FILTER", "info,berth_handlers=debug"),
    ]);
    let greeting = server.get("/api/v1/hello?name=Ada");
    assert_eq!(greeting.json()["message"], "Ahoy, Ada!");
    let id = greeting.request_id().to_owned();
    let log = server.stop();
    let line = log.iter().find(|line| line.contains("greeting Ada"));
    assert!(line.is_some_and(|line| line.contains(&id)), "{log:#?}");
}

/// Whoever changes the contract sees the change in review: `just openapi` writes it, without starting the service.
#[test]
fn the_contract_is_the_one_in_the_repository() {
    let settings = [];
    let routes = Routes::new(berth_handlers::routes);
    let document = openapi(build_info!(), routes, &settings).unwrap();
    let text = format!("{document:#}\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(&file, text).unwrap();
        return;
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == text,
        "{} is not what is mounted; `just openapi` writes it anew",
        file.display()
    );
    assert_eq!(get(&start(&settings), "/openapi.json"), document);
}
