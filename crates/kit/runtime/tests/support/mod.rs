//! How the tests of the process start an example.

mod examples;

use std::process::Command;

use berth_testkit::{Process, service};

/// An example with one worker and these settings.
pub(crate) fn command(example: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = service("berth", examples::program(example), &[]);
    command
        .env("BERTH__SERVER__WORKERS", "1")
        .env("BERTH__SHUTDOWN__TIMEOUT", "1s")
        .envs(environment.iter().copied());
    command
}

/// Starts it, and waits until its port is bound.
pub(crate) fn start(example: &str, environment: &[(&str, &str)]) -> Process {
    Process::bound(command(example, environment))
}
