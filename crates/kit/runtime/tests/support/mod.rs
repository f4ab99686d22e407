//! How the tests of the process start an example.

mod examples;

use berth_testkit::{Process, service};

/// Starts an example with one worker and these settings, and waits until its port is bound.
pub(crate) fn start(example: &str, environment: &[(&str, &str)]) -> Process {
    let mut command = service("berth", examples::program(example), &[]);
    command
        .env("BERTH__SERVER__WORKERS", "1")
        .env("BERTH__SHUTDOWN__TIMEOUT", "1s")
        .envs(environment.iter().copied());
    Process::bound(command)
}
