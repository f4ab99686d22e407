//! A service as a process.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Once,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    DEADLINE,
    client::{Client, Response},
};

/// A running example. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What has been taken of its log so far.
    pub(crate) log: Vec<String>,
    pub(crate) address: SocketAddr,
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

impl Process {
    /// Starts an example with no settings but these, and waits until its port is bound.
    pub(crate) fn start(example: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program(example))
            .env_clear()
            .envs([
                ("PORT", "0"),
                ("BERTH__SERVER__HOST", "127.0.0.1"),
                ("BERTH__SERVER__WORKERS", "1"),
                ("BERTH__SHUTDOWN__TIMEOUT", "1s"),
            ])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut process = Self {
            child,
            lines,
            log: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = process.wait_for("listening on http://");
        let address = line.split("http://").nth(1).unwrap();
        process.address = address.split(' ').next().unwrap().parse().unwrap();
        process
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to a GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().request("GET", target, "")
    }

    /// The first line of its log that contains `text`, once it is there.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait_until(text, |line| line.contains(text))
    }

    /// The first line of its log that `holds` holds for, once it is there.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.log.iter().find(|line| holds(line)) {
            return line.clone();
        }
        loop {
            let Ok(line) = self.lines.recv_timeout(DEADLINE) else {
                panic!("no {what:?} in {:#?}", self.log);
            };
            self.log.push(line.clone());
            if holds(&line) {
                return line;
            }
        }
    }

    /// Its exit code, and how long it took; all of its log is there then.
    pub(crate) fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None => thread::sleep(Duration::from_millis(5)),
            }
            assert!(start.elapsed() < DEADLINE, "still running: {:#?}", self.log);
        };
        self.log.extend(self.lines.iter());
        (code, start.elapsed())
    }

    pub(crate) fn stop(&mut self) -> (Option<i32>, Duration) {
        // The task has begun, too.
        thread::sleep(Duration::from_millis(100));
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(killed.unwrap().success());
        self.wait()
    }

    /// In which line this is.
    #[track_caller]
    pub(crate) fn line(&self, text: &str) -> usize {
        let found = self.log.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
