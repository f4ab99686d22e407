//! The server as a process.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::client::{Client, Response};

const DEADLINE: Duration = Duration::from_secs(20);

/// A running server. Killed when dropped, should a test fail before it has stopped.
pub(crate) struct Berth {
    child: Child,
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The binary under test: what cargo has built, or what `BERTH_BIN` names, such as the static
/// release build.
pub(crate) fn program() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_berth").into();
    std::env::var_os("BERTH_BIN").map_or_else(built, PathBuf::from)
}

/// The binary, with no settings but these.
pub(crate) fn berth(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    command
        .env_clear()
        .env("PORT", "0")
        .env("BERTH__SERVER__HOST", "127.0.0.1")
        .env("BERTH__SERVER__WORKERS", "2")
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
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
        let mut server = Self::launch(berth(environment));
        server.wait_for_log("listening on http://");
        server.addr = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_until_served();
        server
    }

    pub(crate) fn spawn(command: Command) -> Self {
        let mut server = Self::launch(command);
        let line = server.wait_for_log("listening on http://");
        let address = line.split("http://").nth(1).unwrap();
        let end = address.find([' ', '"']).unwrap_or(address.len());
        server.addr = address[..end].parse().unwrap();
        server.wait_until_served();
        server
    }

    /// The log says when the port is bound; the first answer says that it is served.
    fn wait_until_served(&self) {
        assert_eq!(self.get("/health").status, 200);
    }

    fn launch(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut line = Vec::new();
            while stderr
                .read_until(b'\n', &mut line)
                .is_ok_and(|size| size > 0)
            {
                let text = String::from_utf8(line.split_off(0)).unwrap();
                theirs
                    .lock()
                    .unwrap()
                    .push(text.trim_end_matches('\n').to_owned());
            }
        });
        Self {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            reader: Some(reader),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end; all of its log is there then.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running: {:#?}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it as Kubernetes does, and asserts that it went well.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:#?}", self.log());
        self.log()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that contains `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.log().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no {text:?} in the log ({ended:?}): {:#?}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
