//! The start, tasks and `on_stop` in a real process: the example `worker`, with real sockets and signals.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Once,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(20);

struct Worker {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
    address: SocketAddr,
}

/// The example, which cargo builds for all tests of the package, but not for one that is named.
fn program() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--example", "worker"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success());
    });
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join("worker")
}

impl Worker {
    fn start(behaviour: &str, pool: &str) -> Self {
        Self::spawn(&[("WORKER", behaviour), ("POOL", pool)])
    }

    fn building(how: &str) -> Self {
        Self::spawn(&[("BUILD", how)])
    }

    fn spawn(environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program())
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
        let mut worker = Self {
            child,
            lines,
            log: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        worker.wait_for("listening on http://");
        let line = worker.log.last().unwrap();
        let address = line.split("http://").nth(1).unwrap();
        worker.address = address.split(' ').next().unwrap().parse().unwrap();
        worker
    }

    /// The whole answer to a GET on a connection of its own.
    fn get(&self, target: &str) -> String {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    fn wait_for(&mut self, text: &str) {
        while !self.log.last().is_some_and(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(TIMEOUT);
            self.log
                .push(line.unwrap_or_else(|_| panic!("no {text:?} in {:#?}", self.log)));
        }
    }

    /// Its exit code, and how long it took; all of its log is there then.
    fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None => thread::sleep(Duration::from_millis(5)),
            }
            assert!(start.elapsed() < TIMEOUT, "still running: {:#?}", self.log);
        };
        self.log.extend(self.lines.iter());
        (code, start.elapsed())
    }

    fn stop(&mut self) -> (Option<i32>, Duration) {
        // The task has begun, too.
        thread::sleep(Duration::from_millis(100));
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.wait()
    }

    /// In which line this is.
    #[track_caller]
    fn line(&self, text: &str) -> usize {
        let found = self.log.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.log))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The timeout, and what the process may take after it.
const BOUND: Duration = Duration::from_millis(2500);

#[test]
fn a_task_is_told_at_the_signal_and_then_all_is_closed_in_reverse() {
    let mut worker = Worker::start("polite", "");
    let (code, took) = worker.stop();
    assert_eq!(code, Some(0), "{:#?}", worker.log);
    assert!(took < BOUND, "{took:?}");
    let order = [
        "SIGTERM",
        "finishing its job",
        "pool: closed",
        "cache: closed",
        "every request was answered",
    ];
    assert!(
        order.map(|text| worker.line(text)).is_sorted(),
        "{:#?}",
        worker.log
    );
}

#[test]
fn a_task_that_has_ended_is_no_failure() {
    let mut worker = Worker::start("ends", "");
    worker.wait_for("task worker has ended");
    assert_eq!(worker.stop().0, Some(0), "{:#?}", worker.log);
}

#[test]
fn what_does_not_stop_in_time_is_named_and_cut_off() {
    for (behaviour, pool, named) in [
        ("deaf", "", "task worker is cut off"),
        ("blocks", "", "task worker is cut off"),
        ("polite", "hangs", "on_stop pool is cut off"),
    ] {
        let mut worker = Worker::start(behaviour, pool);
        let (code, took) = worker.stop();
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log);
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(named);
        worker.line("failed or was cut off");
    }
}

#[test]
fn a_task_that_fails_stops_the_service() {
    for (behaviour, why) in [("fails", "the queue is gone"), ("panics", "it panicked")] {
        let mut worker = Worker::start(behaviour, "");
        let (code, took) = worker.wait();
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log);
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(&format!("task worker failed, so the service stops: {why}"));
        worker.line("pool: closed");
    }
}

#[test]
fn a_service_that_is_being_built_says_so_and_ends_at_once() {
    for wait in [0, 20, 60, 400] {
        let mut worker = Worker::building("never");
        if wait == 400 {
            assert!(worker.get("/health").starts_with("HTTP/1.1 200 "));
            let ready = worker.get("/ready");
            assert!(
                ready.starts_with("HTTP/1.1 503 ") && ready.contains("starting up"),
                "{ready}"
            );
            let other = worker.get("/api/v1/orders");
            assert!(
                other.starts_with("HTTP/1.1 503 ") && other.contains("retry-after: 1"),
                "{other}"
            );
            assert!(other.contains("application/problem+json"), "{other}");
        }
        thread::sleep(Duration::from_millis(wait));
        let (code, took) = worker.stop();
        assert_eq!(code, Some(0), "{:#?}", worker.log);
        assert!(took < Duration::from_secs(1), "{took:?}");
        worker.line("SIGTERM came before the start was complete");
    }
}

#[test]
fn no_request_is_lost_when_the_service_takes_over() {
    let mut worker = Worker::building("slow");
    let start = Instant::now();
    let mut asked = 0;
    while !worker.get("/ready").starts_with("HTTP/1.1 200 ") {
        let health = worker.get("/health");
        assert!(
            health.starts_with("HTTP/1.1 200 "),
            "{health:?} after {asked}"
        );
        asked += 1;
        assert!(start.elapsed() < TIMEOUT);
    }
    assert!(
        start.elapsed() > Duration::from_secs(1) && asked > 10,
        "{asked} in {:?}",
        start.elapsed()
    );
    assert!(worker.get("/metrics").contains("\nberth_ready 1\n"));
    assert_eq!(worker.stop().0, Some(0), "{:#?}", worker.log);
}

#[test]
fn a_service_that_cannot_be_built_says_why() {
    for (how, why) in [
        ("fails", "the database is gone"),
        ("fails late", "the database is gone"),
        ("panics", "cannot be built: it panicked"),
    ] {
        let mut worker = Worker::building(how);
        let (code, _) = worker.wait();
        assert_eq!(code, Some(1), "{how}: {:#?}", worker.log);
        worker.line(why);
    }
}
