//! A service as a process.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{Client, DEADLINE, Response};

/// A running service. Killed when dropped, should a test fail before it has stopped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The address that it listens on.
    pub addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// The program of the service of this name, with no settings but these: on a free port, with two workers.
///
/// The name is that of its package, with which its variables begin: `MY_SHOP__SERVER__PORT` for `my-shop`.
pub fn service(name: &str, program: impl AsRef<OsStr>, environment: &[(&str, &str)]) -> Command {
    let prefix = name.to_ascii_uppercase().replace('-', "_");
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PORT", "0")
        .env(format!("{prefix}__SERVER__HOST"), "127.0.0.1")
        .env(format!("{prefix}__SERVER__WORKERS"), "2")
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}

impl Process {
    /// Starts it, and waits until it serves. What it depends on may be missing still: see
    /// [`wait_until_ready`](Self::wait_until_ready).
    #[must_use]
    pub fn start(command: Command) -> Self {
        let mut server = Self::bound(command);
        server.wait_until_served();
        server
    }

    /// Starts it, and waits until its port is bound: it may answer only once it has been built.
    #[must_use]
    pub fn bound(command: Command) -> Self {
        let mut server = Self::launch(command);
        let line = server.wait_for_log("listening on http://");
        let address = line.split("http://").nth(1).unwrap();
        let end = address.find([' ', '"']).unwrap_or(address.len());
        server.addr = address[..end].parse().unwrap();
        server
    }

    /// As [`start`](Self::start), where the log's address is not one to connect to: `0.0.0.0`, or one of several.
    #[must_use]
    pub fn start_at(command: Command, port: u16) -> Self {
        let mut server = Self::launch(command);
        server.wait_for_log("listening on http://");
        server.addr = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_until_served();
        server
    }

    /// The log says when the port is bound; the first answer says that it is served, if only by what answers while
    /// the service is being built.
    fn wait_until_served(&mut self) {
        self.wait_until("serves", |server| server.status("/health") == Some(200));
        let is_built = "the service is being built";
        if self.log().iter().any(|line| line.contains(is_built)) {
            self.wait_until("is built", |server| {
                !server.get("/ready").text().contains("starting up")
            });
        }
    }

    /// Waits until it is ready: what it depends on has been found.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_until("is ready", |server| server.status("/ready") == Some(200));
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "never {what} ({ended:?}): {:#?}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status of the answer to a GET, where there is one: a service that cannot be built ends amid it.
    fn status(&self, target: &str) -> Option<u16> {
        let mut client = Client::try_connect(self.addr).ok()?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        client.try_send(request).ok()?;
        client.line().ok()?.split(' ').nth(1)?.parse().ok()
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

    /// A connection to it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// The answer to a GET on a connection of its own.
    #[allow(
        clippy::must_use_candidate,
        reason = "a test may ask for what it does elsewhere"
    )]
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// Its number, by which the system knows it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `TERM`, `INT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end; all of its log is there then.
    pub fn wait(&mut self) -> ExitStatus {
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

    /// As [`wait`](Self::wait), with its exit code and how long it took.
    pub fn wait_timed(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        (self.wait().code(), start.elapsed())
    }

    /// Stops it as Kubernetes does, and asserts that it went well. Gives its log.
    pub fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:#?}", self.log());
        self.log()
    }

    /// What it has logged, by line.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that contains `text`.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) -> String {
        self.wait_for_line(text, |line| line.contains(text))
    }

    /// Waits for a log line that `holds` holds for.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.log().into_iter().find(|line| holds(line)) {
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

    /// In which line of the log this is, which it must be.
    #[allow(
        clippy::must_use_candidate,
        reason = "that it is there may be all that is asked"
    )]
    #[track_caller]
    pub fn line(&self, text: &str) -> usize {
        let log = self.log();
        let found = log.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text:?} in {log:#?}"))
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
