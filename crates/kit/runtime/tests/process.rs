//! The start, tasks and `on_stop` in a real process: the example `worker`, with real sockets and signals.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod support;

#[cfg(target_os = "linux")]
use std::{collections::HashSet, fs, path::PathBuf};
use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use berth_testkit::{Client, DEADLINE, Process, Response};

fn start(behaviour: &str, pool: &str) -> Process {
    support::start("worker", &[("WORKER", behaviour), ("POOL", pool)])
}

fn building(how: &str) -> Process {
    support::start("worker", &[("BUILD", how)])
}

/// With a management port, and where that is.
fn building_with_management(how: &str) -> (Process, SocketAddr) {
    let environment = [("BUILD", how), ("BERTH__MANAGEMENT__PORT", "0")];
    let mut worker = support::start("worker", &environment);
    let line = worker.wait_for_log("management port on http://");
    let address = line.rsplit("http://").next().unwrap().parse().unwrap();
    (worker, address)
}

fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).get(target)
}

/// How many of its descriptors are sockets that listen.
#[cfg(target_os = "linux")]
fn listening(worker: &Process) -> usize {
    let proc = PathBuf::from(format!("/proc/{}", worker.pid()));
    let sockets = fs::read_to_string(proc.join("net/tcp")).unwrap();
    let sockets = sockets.lines().map(|line| line.split_whitespace());
    let listen = sockets.map(Iterator::collect).filter_map(|fields: Vec<_>| {
        (fields[3] == "0A").then(|| PathBuf::from(format!("socket:[{}]", fields[9])))
    });
    let listen: HashSet<_> = listen.collect();
    let open = fs::read_dir(proc.join("fd")).unwrap();
    open.filter_map(|open| fs::read_link(open.unwrap().path()).ok())
        .filter(|open| listen.contains(open))
        .count()
}

/// Its exit code, and how long the stop took.
fn stop(worker: &mut Process) -> (Option<i32>, Duration) {
    // The task has begun, too.
    thread::sleep(Duration::from_millis(100));
    worker.signal("TERM");
    worker.wait_timed()
}

/// The timeout, and what the process may take after it.
const BOUND: Duration = Duration::from_millis(2500);

#[test]
fn a_task_is_told_at_the_signal_and_then_all_is_closed_in_reverse() {
    let mut worker = start("polite", "");
    let (code, took) = stop(&mut worker);
    assert_eq!(code, Some(0), "{:#?}", worker.log());
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
        worker.log()
    );
}

#[test]
fn a_task_that_has_ended_is_no_failure() {
    let mut worker = start("ends", "");
    worker.wait_for_log("task worker has ended");
    assert_eq!(stop(&mut worker).0, Some(0), "{:#?}", worker.log());
}

#[test]
fn what_does_not_stop_in_time_is_named_and_cut_off() {
    for (behaviour, pool, named) in [
        ("deaf", "", "task worker is cut off"),
        ("blocks", "", "task worker is cut off"),
        ("polite", "hangs", "on_stop pool is cut off"),
    ] {
        let mut worker = start(behaviour, pool);
        let (code, took) = stop(&mut worker);
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log());
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(named);
        worker.line("failed or was cut off");
    }
}

#[test]
fn a_task_that_fails_stops_the_service() {
    for (behaviour, why) in [("fails", "the queue is gone"), ("panics", "it panicked")] {
        let mut worker = start(behaviour, "");
        let (code, took) = worker.wait_timed();
        assert_eq!(code, Some(1), "{behaviour}: {:#?}", worker.log());
        assert!(took < BOUND, "{behaviour}: {took:?}");
        worker.line(&format!("task worker failed, so the service stops: {why}"));
        worker.line("pool: closed");
    }
}

#[test]
fn a_service_that_is_being_built_says_so_and_ends_at_once() {
    for wait in [0, 20, 60, 400] {
        let (mut worker, management) = building_with_management("never");
        if wait == 400 {
            for address in [worker.addr, management] {
                assert_eq!(get(address, "/health").status, 200);
                let ready = get(address, "/ready");
                assert_eq!(ready.status, 503);
                assert!(ready.text().contains("starting up"), "{ready:?}");
                for other in ["/metrics", "/settings", "/api/v1/orders"] {
                    let other = get(address, other);
                    other.assert_problem(503);
                    assert_eq!(other.header("retry-after"), Some("1"));
                }
            }
            // As it is later, the management port is asked by no name that somebody else can have made up.
            let mut page = Client::connect(management);
            page.send("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            assert_eq!(page.read().status, 421);
        }
        thread::sleep(Duration::from_millis(wait));
        let (code, took) = stop(&mut worker);
        assert_eq!(code, Some(0), "{:#?}", worker.log());
        assert!(took < Duration::from_secs(1), "{took:?}");
        worker.line("SIGTERM came before the start was complete");
    }
}

#[test]
fn no_request_is_lost_when_the_service_takes_over() {
    let (mut worker, management) = building_with_management("slow");
    let start = Instant::now();
    let ports = [worker.addr, management];
    // On their way when it does, after 2 s.
    let halves = ports.map(|port| {
        thread::spawn(move || {
            let mut client = Client::connect(port);
            thread::sleep(Duration::from_millis(1500));
            client.send("GET /health HTTP/1.1\r\nHo");
            thread::sleep(Duration::from_secs(1));
            client.send("st: t\r\n\r\n");
            client.read().status
        })
    });
    let mut asked = 0;
    while ports.iter().any(|port| get(*port, "/ready").status != 200) {
        for port in ports {
            let health = get(port, "/health");
            assert_eq!(health.status, 200, "{health:?} of {port} after {asked}");
        }
        asked += 1;
        assert!(start.elapsed() < DEADLINE);
    }
    assert!(
        start.elapsed() > Duration::from_secs(1) && asked > 10,
        "{asked} in {:?}",
        start.elapsed()
    );
    for half in halves {
        assert_eq!(half.join().unwrap(), 200);
    }
    let metrics = get(management, "/metrics");
    assert!(metrics.text().contains("\nberth_ready 1\n"), "{metrics:?}");
    assert_eq!(worker.get("/metrics").status, 404);
    // What answered meanwhile leaves nothing behind.
    #[cfg(target_os = "linux")]
    {
        let (quick, _) = building_with_management("");
        assert_eq!(quick.get("/health").status, 200);
        assert_eq!(listening(&worker), listening(&quick));
    }
    assert_eq!(stop(&mut worker).0, Some(0), "{:#?}", worker.log());
    let told = ["listening on http://", "management port on http://"];
    for told in told {
        let lines = worker.log();
        let lines = lines.iter().filter(|line| line.contains(told));
        assert_eq!(lines.count(), 1, "{:#?}", worker.log());
    }
    let order = [told[0], told[1], "the service is being built"];
    assert!(
        order.map(|text| worker.line(text)).is_sorted(),
        "{:#?}",
        worker.log()
    );
}

#[test]
fn without_a_management_port_the_public_one_is_taken_over_alike() {
    let mut worker = building("slow");
    let start = Instant::now();
    while worker.get("/ready").status != 200 {
        assert_eq!(worker.get("/health").status, 200);
        assert!(start.elapsed() < DEADLINE);
    }
    assert!(worker.get("/metrics").text().contains("\nberth_ready 1\n"));
    assert_eq!(stop(&mut worker).0, Some(0), "{:#?}", worker.log());
}

/// Nothing is connected to and migrated for a process that will not serve.
#[test]
fn a_management_port_that_is_taken_is_told_before_the_service_is_built() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let environment = [("BUILD", "never"), ("BERTH__MANAGEMENT__PORT", &port)];
    let output = support::command("worker", &environment).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = format!(
        "cannot listen on 127.0.0.1:{port}: address already in use (set management.port, or stop the process that \
         holds it)\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), told);
}

#[test]
fn a_service_that_cannot_be_built_says_why() {
    for (how, why) in [
        ("fails", "the database is gone"),
        ("fails late", "the database is gone"),
        ("panics", "cannot be built: it panicked"),
    ] {
        let mut worker = building(how);
        let (code, _) = worker.wait_timed();
        assert_eq!(code, Some(1), "{how}: {:#?}", worker.log());
        worker.line(why);
    }
}
