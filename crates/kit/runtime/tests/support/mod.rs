//! How the tests of the process start an example.

use std::{env, path::PathBuf, process::Command, sync::Once};

use berth_testkit::{Process, service};

/// Starts an example with one worker and these settings, and waits until its port is bound.
pub(crate) fn start(example: &str, environment: &[(&str, &str)]) -> Process {
    let mut command = service("berth", program(example), &[]);
    command
        .env("BERTH__SERVER__WORKERS", "1")
        .env("BERTH__SHUTDOWN__TIMEOUT", "1s")
        .envs(environment.iter().copied());
    Process::bound(command)
}

/// An example, which cargo builds for all tests of the package, but not for one that is named.
fn program(example: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--examples"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success());
    });
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(example)
}
