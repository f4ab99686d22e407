//! Standard output and standard error that cannot be written: the exit code is the true one, and nothing panics.

use std::{
    fs::OpenOptions,
    io::pipe,
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process::{berth, free_port};

/// A name that says what it is, and makes an output of that kind.
type Output = (&'static str, fn() -> Stdio);

/// Outputs that take nothing.
const BROKEN: [Output; 2] = [("a full disk", full_disk), ("a closed pipe", closed_pipe)];

fn full_disk() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = berth(environment);
    command.args(arguments).stdout(Stdio::null());
    command
}

#[test]
fn what_cannot_be_told_changes_no_exit_code() {
    let wrong = [("PORT", "many")];
    let nowhere = [("BERTH__SERVER__HOST", "192.0.2.1")];
    let nobody = [("PORT", "1")];

    for (arguments, environment, code) in [
        (&["check"][..], &wrong[..], 2),
        (&[], &wrong, 2),
        (&["healthcheck"], &wrong, 1),
        (&["healthcheck"], &nobody, 1),
        (&[], &nowhere, 1),
        (&["--unknown"], &[], 2),
        (&["check"], &[], 0),
    ] {
        for (name, output) in BROKEN {
            let status = command(arguments, environment)
                .stderr(output())
                .status()
                .unwrap();
            assert_eq!(
                status.code(),
                Some(code),
                "{arguments:?} {environment:?}, with {name} for standard error"
            );
        }
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    for arguments in [&["check"][..], &["--help"], &["--version"]] {
        let output = command(arguments, &[])
            .stdout(closed_pipe())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
    }
}

#[test]
fn settings_that_cannot_be_printed_are_an_error() {
    let output = command(&["check"], &[])
        .stdout(full_disk())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("cannot print the settings: "), "{told}");
    // Neither can be written, and still it is this that has failed.
    let status = command(&["check"], &[])
        .stdout(full_disk())
        .stderr(full_disk())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_service_whose_log_cannot_be_written_serves_and_stops() {
    for (name, output) in BROKEN {
        // The log cannot tell the port, so choose one that is free now.
        let port = free_port();
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let port = port.to_string();
        let mut child = command(&[], &[("PORT", &port)])
            .stderr(output())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut client = loop {
            match berth_testkit::Client::try_connect(addr) {
                Ok(client) => break client,
                Err(_) => assert!(Instant::now() < deadline, "never started, with {name}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(client.get("/health").status, 200);
        let killed = Command::new("kill")
            .args(["-s", "TERM", &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}
