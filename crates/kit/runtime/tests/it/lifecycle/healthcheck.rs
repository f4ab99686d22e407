//! `healthcheck` asks the server that runs, whatever its settings file says by now.

use std::{fs, path::Path, process::Command};

use crate::process::{Berth, berth, free_port};

/// The program without a variable that says where it is; `name` tells this test's servers from others'.
fn told_nothing(name: &str) -> Command {
    let mut command = berth(&[("BERTH__APP__NAME", name)]);
    command.env_remove("PORT");
    command.env_remove("BERTH__SERVER__HOST");
    command
}

fn settings(port: u16) -> String {
    format!("[server]\nhost = \"127.0.0.1\"\nport = {port}\n")
}

#[track_caller]
fn ends_with(mut command: Command, code: i32, what: &str) {
    let output = command.arg("healthcheck").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{what}: {text}");
    assert_eq!(text.starts_with("unhealthy: "), code == 1, "{what}: {text}");
}

fn by_variable(file: &Path) -> Command {
    let mut command = told_nothing("by-variable");
    command.env("BERTH_CONFIG", file);
    command
}

fn by_argument(file: &Path) -> Command {
    let mut command = told_nothing("by-argument");
    command.arg("--config").arg(file);
    command
}

fn not_told(_: &Path) -> Command {
    told_nothing("by-argument")
}

/// Each way of being told the same file: by the variable, by the command line, and only the server.
#[test]
fn a_settings_file_that_changes_makes_no_server_unhealthy() {
    type Told = fn(&Path) -> Command;
    let ways: [(Told, Told); 3] = [
        (by_variable, by_variable),
        (by_argument, by_argument),
        (by_argument, not_told),
    ];
    for (serve, ask) in ways {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        fs::write(&file, settings(0)).unwrap();
        let server = Berth::spawn(serve(&file));
        let edits = [
            ("is as it was", settings(0)),
            ("has another port", settings(free_port())),
            ("is invalid", "[server]\nport = \"many\"\n".to_owned()),
            ("is broken", "[server".to_owned()),
            ("is empty", String::new()),
        ];
        for (what, text) in edits {
            fs::write(&file, text).unwrap();
            ends_with(ask(&file), 0, what);
        }
        fs::remove_file(&file).unwrap();
        ends_with(ask(&file), 0, "is missing");

        server.signal("STOP");
        ends_with(ask(&file), 1, "the server hangs");
        server.signal("CONT");
        server.stop();
        fs::write(&file, settings(free_port())).unwrap();
        ends_with(ask(&file), 1, "the server has ended");
    }
}

#[test]
fn who_names_another_server_is_told_of_that() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, settings(free_port())).unwrap();
    let server = Berth::spawn({
        let mut command = told_nothing("another");
        command
            .env("PORT", "0")
            .env("BERTH__SERVER__HOST", "127.0.0.1");
        command
    });
    ends_with(told_nothing("another"), 0, "it runs");
    let mut elsewhere = told_nothing("another");
    elsewhere.env("PORT", free_port().to_string());
    ends_with(elsewhere, 1, "another port");
    let mut elsewhere = told_nothing("another");
    elsewhere.arg("--config").arg(&file);
    ends_with(elsewhere, 1, "another file");
    let mut elsewhere = told_nothing("another");
    elsewhere.env("BERTH_CONFIG", &file);
    ends_with(elsewhere, 1, "another file");

    // Of two, the settings say which.
    let port = free_port();
    let mut command = told_nothing("another");
    let port_text = port.to_string();
    command
        .env("PORT", &port_text)
        .env("BERTH__SERVER__HOST", "127.0.0.1");
    let second = Berth::spawn(command);
    second.signal("STOP");
    let mut first = told_nothing("another");
    first
        .env("PORT", server.addr.port().to_string())
        .env("BERTH__SERVER__HOST", "127.0.0.1");
    ends_with(first, 0, "the first");
    let mut asked = told_nothing("another");
    asked.env("PORT", &port_text);
    ends_with(asked, 1, "the second");
    second.signal("CONT");
    second.stop();
    server.stop();
}

/// Of the two ports that answer, only the one for clients counts.
#[test]
fn the_management_port_does_not_speak_for_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, settings(0)).unwrap();
    let mut command = told_nothing("two-ports");
    command
        .env("BERTH__SERVER__WORKERS", "1")
        .env("BERTH__MANAGEMENT__PORT", "0")
        .env("BERTH__DEBUG__ROUTES", "true")
        .arg("--config")
        .arg(&file);
    let server = Berth::spawn(command);
    let mut ask = told_nothing("two-ports");
    ask.env_remove("BERTH__SERVER__WORKERS");
    ends_with(ask, 0, "it serves");
    let mut client = server.client();
    client.send("GET /debug/block/5s HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut ask = told_nothing("two-ports");
    ask.env_remove("BERTH__SERVER__WORKERS");
    ends_with(ask, 1, "its one worker is blocked");
}
