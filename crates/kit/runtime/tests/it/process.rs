//! The server as a process.

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    process::Command,
};

pub(crate) use berth_testkit::free_port;
use berth_testkit::{Process, eventually, service};

use super::examples;

/// A running server.
pub(crate) struct Berth(Process);

/// The example `hello`: what cargo has built, or what `HELLO_BIN` names, such as the static release build.
pub(crate) fn program() -> PathBuf {
    let built = || examples::program("hello");
    std::env::var_os("HELLO_BIN").map_or_else(built, PathBuf::from)
}

/// The binary, with no settings but these.
pub(crate) fn berth(environment: &[(&str, &str)]) -> Command {
    service("berth", program(), environment)
}

impl Berth {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        Self::spawn(berth(environment))
    }

    /// With the debug routes on.
    pub(crate) fn debug(environment: &[(&str, &str)]) -> Self {
        let mut command = berth(environment);
        command.env("BERTH__DEBUG__ROUTES", "true");
        Self::spawn(command)
    }

    /// Where the log's address is not one to connect to: `0.0.0.0`, or one of several.
    pub(crate) fn start_at(environment: &[(&str, &str)], port: u16) -> Self {
        Self(Process::start_at(berth(environment), port))
    }

    /// Where a connection from here must begin with a PROXY header, so that no plain request tells that it serves.
    pub(crate) fn start_behind(environment: &[(&str, &str)]) -> Self {
        let server = Self(Process::bound(berth(environment)));
        eventually("served", || {
            let mut client = server.client();
            client.send("PROXY UNKNOWN\r\n");
            client.get("/ready").status == 200
        });
        server
    }

    pub(crate) fn spawn(command: Command) -> Self {
        Self(Process::start(command))
    }

    /// Stops it as Kubernetes does, and asserts that it went well.
    pub(crate) fn stop(self) -> Vec<String> {
        self.0.stop()
    }
}

impl Deref for Berth {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Berth {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
