//! `/ready` and what it depends on.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Berth, berth};

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);
const FAILURES: u32 = 2;

/// How soon `/ready` has to follow, and how late a busy machine may be.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(300 * 2 + 200 + 700);

/// A check of this URL, as the variable that sets it.
fn check(url: &str, more: &str) -> String {
    format!(
        "[{{ name = 'dep', url = '{url}', interval = '{}ms', timeout = '{}ms', \
         failure_threshold = {FAILURES}{more} }}]",
        INTERVAL.as_millis(),
        TIMEOUT.as_millis()
    )
}

fn start(checks: &str) -> Berth {
    Berth::start(&[("BERTH__READINESS__CHECKS", checks)])
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

fn ready(server: &Berth) -> (u16, Value) {
    let response = server.get("/ready");
    let body = serde_json::from_str(response.text()).unwrap();
    (response.status, body)
}

/// Waits until `/ready` has this status. Meanwhile the process lives, and nothing that it answers
/// waits for a check.
fn follows(server: &Berth, status: u16, what: &str) {
    let start = Instant::now();
    while ready(server).0 != status {
        assert!(
            start.elapsed() < FOLLOWS_WITHIN,
            "{what}: /ready is not {status}"
        );
        assert_eq!(server.get("/health").status, 200);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Nothing changes for longer than a change would take.
fn stays(server: &Berth, status: u16, what: &str) {
    let start = Instant::now();
    while start.elapsed() < FOLLOWS_WITHIN {
        assert_eq!(ready(server).0, status, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The API answers sooner than a check that hangs gives up: nothing waits for one. (A busy machine may
/// hold up the odd request for as long.)
fn api_is_not_slower(server: &Berth) {
    let mut client = server.client();
    let mut took: Vec<_> = (0..200)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get("/api/v1/hello").status, 200);
            start.elapsed()
        })
        .collect();
    took.sort();
    assert!(
        took[190] < TIMEOUT,
        "requests have waited for a check: {took:?}"
    );
}

fn lines(server: &Berth, text: &str) -> usize {
    server
        .log()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

#[test]
fn a_port_that_takes_connections() {
    let port = free_port();
    let mut server = start(&check(&format!("tcp://127.0.0.1:{port}"), ""));
    server.wait_for_log("readiness check dep failed, the service is not ready: ");
    stays(&server, 503, "nothing listens");
    let (_, body) = ready(&server);
    assert_eq!(body["status"], "not ready");
    assert_eq!(body["reason"], "checks failed");
    assert_eq!(body["failed"][0]["name"], "dep");
    assert!(body["failed"][0]["since"].as_str().unwrap().ends_with('Z'));
    // The cause is in the log, and only there.
    assert!(!body.to_string().contains("refused"), "{body}");

    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    follows(&server, 200, "it listens");
    assert_eq!(ready(&server).1["status"], "ready");
    drop(listener);
    follows(&server, 503, "it is gone again");
    api_is_not_slower(&server);
    // Once per change, however often it was tried.
    assert_eq!(lines(&server, "readiness check dep failed"), 2);
    assert_eq!(lines(&server, "readiness check dep passed"), 1);
    assert!(lines(&server, "refused") >= 2);
    server.stop();
}

#[test]
fn one_failure_is_not_enough() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut checks = check(&format!("tcp://127.0.0.1:{port}"), "");
    checks = checks.replace("failure_threshold = 2", "failure_threshold = 100");
    let server = start(&checks);
    follows(&server, 200, "it listens");
    drop(listener);
    stays(&server, 200, "some failures, fewer than the threshold");
    server.stop();
}

#[test]
fn what_is_not_required_only_degrades() {
    let port = free_port();
    let mut server = start(&check(
        &format!("tcp://127.0.0.1:{port}"),
        ", required = false",
    ));
    server.wait_for_log("readiness check dep failed, the service is degraded: ");
    let (status, body) = ready(&server);
    assert_eq!((status, &body["status"]), (200, &"degraded".into()));
    assert_eq!(body["failed"][0]["name"], "dep");
    assert_eq!(server.get("/ready/dep").status, 503);
    let metrics = server.get("/metrics");
    assert!(metrics.text().contains("\nberth_ready 1\n"));
    assert!(
        metrics
            .text()
            .contains("\nberth_readiness_check{name=\"dep\"} 0\n")
    );
    server.stop();
}

#[test]
fn every_check_can_be_listed_and_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let up = listener.local_addr().unwrap();
    let checks = format!(
        "[{{ name = 'up', url = 'tcp://{up}', interval = '200ms' }}, \
         {{ name = 'down', url = 'tcp://127.0.0.1:{}', required = false }}]",
        free_port()
    );
    let server = start(&checks);
    follows(&server, 200, "the required one is up");
    let verbose: Value = serde_json::from_str(server.get("/ready?verbose").text()).unwrap();
    let listed: Vec<_> = verbose["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (
                check["name"].as_str().unwrap(),
                check["status"].as_str().unwrap(),
                check["required"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, [("up", "ok", true), ("down", "failed", false)]);
    assert!(verbose["checks"][0]["age"].is_string());
    let one: Value = serde_json::from_str(server.get("/ready/up").text()).unwrap();
    assert_eq!((&one["name"], &one["status"]), (&"up".into(), &"ok".into()));
    assert_eq!(server.get("/ready/up").status, 200);
    assert_eq!(server.get("/ready/down").status, 503);
    let unknown = server.get("/ready/sideways");
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.header("content-type"),
        Some("application/problem+json")
    );

    let metrics = server.get("/metrics");
    for line in [
        "\nberth_readiness_check{name=\"up\"} 1\n",
        "\nberth_readiness_check{name=\"down\"} 0\n",
        "\nberth_readiness_check_duration_seconds{name=\"up\"} 0.0",
        "endpoint=\"/ready/{check}\",method=\"GET\",status=\"404\"} 1\n",
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
    server.stop();
}

#[test]
fn an_http_server_with_the_expected_status() {
    let mut other = Berth::debug(&[]);
    let url = |path: &str| format!("http://{}{path}", other.addr);
    // Each its own server, so that each has one check: the status decides.
    for (path, more, ready) in [
        ("/health", "", 200),
        ("/debug/status/204", "", 200),
        ("/debug/status/301", "", 503),
        ("/debug/status/301", ", status = '200-399'", 200),
        ("/debug/status/500", "", 503),
        ("/debug/status/503", ", status = '503'", 200),
        ("/debug/bytes/1000000", "", 200),
        ("/debug/delay/5s", "", 503),
    ] {
        let server = start(&check(&url(path), more));
        follows(&server, ready, path);
        server.stop();
    }

    let server = start(&check(&url("/health"), ""));
    follows(&server, 200, "it answers");
    let address = other.addr;
    other.signal("STOP");
    follows(&server, 503, "it hangs");
    api_is_not_slower(&server);
    other.signal("CONT");
    follows(&server, 200, "it goes on");
    other.signal("KILL");
    other.wait();
    follows(&server, 503, "it was killed");
    let again = Berth::start_at(&[("PORT", &address.port().to_string())], address.port());
    follows(&server, 200, "it is back");
    again.stop();
    server.stop();
}

#[test]
fn one_connection_is_used_again_and_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/healthy?x=y", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU32::new(0));
    let requests = Arc::new(AtomicU32::new(0));
    let (counted, answered) = (Arc::clone(&connections), Arc::clone(&requests));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|size| size > 0) {
                if line.starts_with("GET ") {
                    assert_eq!(line, "GET /healthy?x=y HTTP/1.1\r\n");
                }
                if line == "\r\n" {
                    answered.fetch_add(1, Ordering::Relaxed);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.get_mut().write_all(answer).unwrap();
                }
                line.clear();
            }
        }
    });
    let server = start(&check(&url, ""));
    follows(&server, 200, "it answers");
    let deadline = Instant::now() + INTERVAL * 20;
    while requests.load(Ordering::Relaxed) < 5 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    server.stop();
}

#[test]
fn what_was_not_built_in_is_said_at_the_start() {
    let output = berth(&[(
        "BERTH__READINESS__CHECKS",
        "[{ name = 'a', url = 'https://u:hunter2@localhost/' }]",
    )])
    .output()
    .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    if text.contains("built without") {
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text.contains("check-https") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

/// A server of another kind, started by the test.
struct Dependency {
    child: Child,
    _folder: TempDir,
}

impl Dependency {
    fn signal(&self, name: &str) {
        // Its children as well: PostgreSQL has one for each connection.
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        for pid in children.split_whitespace() {
            // It may be gone by now.
            let _ = send(name, pid);
        }
        assert!(send(name, &own.to_string()));
    }

    fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
    }
}

fn send(signal: &str, pid: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, pid]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

impl Drop for Dependency {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}

/// Down at the start, up, hanging, going on, killed, back.
fn the_whole_story(url: &str, run: impl Fn() -> Dependency) {
    let server = start(&check(url, ""));
    stays(&server, 503, "it is down at the start");
    let mut dependency = run();
    follows(&server, 200, "it came up");
    dependency.signal("STOP");
    follows(&server, 503, "it hangs");
    api_is_not_slower(&server);
    stays(&server, 503, "it still hangs");
    dependency.signal("CONT");
    follows(&server, 200, "it goes on");
    dependency.kill();
    follows(&server, 503, "it was killed");
    let again = run();
    follows(&server, 200, "it came back");
    server.stop();
    drop(again);
}

fn wait_for_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {port}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn redis(port: u16) -> Dependency {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            "right word",
        ])
        .args(["--port", &port.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("needs redis-server: apt-get install redis-server");
    wait_for_port(port);
    Dependency {
        child,
        _folder: folder,
    }
}

#[test]
#[ignore = "needs redis-server: just test-readiness"]
fn redis_of_all_kinds() {
    let port = free_port();
    the_whole_story(&format!("redis://:right%20word@127.0.0.1:{port}/1"), || {
        redis(port)
    });

    let dependency = redis(port);
    let mut server = start(&check(&format!("redis://:wrong@127.0.0.1:{port}/1"), ""));
    let line = server.wait_for_log("readiness check dep failed");
    assert!(line.to_lowercase().contains("pass"), "{line}");
    stays(&server, 503, "the password is wrong");
    assert!(!server.log().concat().contains("wrong"));
    let server = start(&check(&format!("redis://127.0.0.1:{port}"), ""));
    stays(&server, 503, "there is no password");
    drop(dependency);
}

/// Where the programs of `PostgreSQL` are: not on the path on Debian.
fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .max()
        .expect("needs PostgreSQL: apt-get install postgresql")
}

/// Its user may not be root, which a test in a container often is.
fn as_somebody(program: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn postgres(port: u16, password: &str) -> Dependency {
    let programs = postgres_programs();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let word = folder.path().join("password");
    fs::create_dir(&data).unwrap();
    fs::write(&word, password).unwrap();
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(&data).unwrap()) == 0 {
        chown(&data, Some(65_534), Some(65_534)).unwrap();
    }
    let made = as_somebody(&programs.join("initdb"))
        .args([
            "--no-sync",
            "--auth",
            "scram-sha-256",
            "--username",
            "app",
            "--pwfile",
        ])
        .arg(&word)
        .arg("--pgdata")
        .arg(&data)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let child = as_somebody(&programs.join("postgres"))
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ])
        .args(["-p", &port.to_string(), "-D"])
        .arg(&data)
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It listens before it lets anybody in.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut asked = Command::new(programs.join("pg_isready"));
    asked.args(["--quiet", "--host=127.0.0.1", &format!("--port={port}")]);
    while !asked.status().unwrap().success() {
        assert!(Instant::now() < deadline, "PostgreSQL does not start");
        thread::sleep(Duration::from_millis(10));
    }
    Dependency {
        child,
        _folder: folder,
    }
}

#[test]
#[ignore = "needs PostgreSQL: just test-readiness"]
fn postgres_of_all_kinds() {
    let port = free_port();
    the_whole_story(
        &format!("postgres://app:right%20word@127.0.0.1:{port}/postgres"),
        || postgres(port, "right word"),
    );

    let dependency = postgres(port, "right");
    let mut server = start(&check(
        &format!("postgres://app:wrong@127.0.0.1:{port}/postgres"),
        "",
    ));
    let line = server.wait_for_log("readiness check dep failed");
    assert!(!line.contains("wrong"), "{line}");
    stays(&server, 503, "the password is wrong");
    let server = start(&check(
        &format!("postgres://app:right@127.0.0.1:{port}/none"),
        "",
    ));
    stays(&server, 503, "there is no such database");
    drop(dependency);
}

/// A TLS server with a certificate for `localhost` that is its own authority.
fn tls(port: u16, certificate: &Path) -> Child {
    let key = certificate.with_extension("key");
    if !certificate.exists() {
        // Not an authority by its own word: rustls takes no such one for a server's.
        let config = certificate.with_extension("cnf");
        let text = "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n\
                    [name]\nCN = localhost\n\
                    [extensions]\nsubjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n";
        fs::write(&config, text).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-config"])
            .arg(&config)
            .arg("-out")
            .arg(certificate)
            .arg("-keyout")
            .arg(&key)
            .output()
            .expect("needs openssl");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-www",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
        ])
        .arg(certificate)
        .arg("-key")
        .arg(key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "needs openssl and the feature check-https: just test-readiness"]
fn https_of_all_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    let port = free_port();
    let url = |host| check(&format!("https://{host}:{port}/"), "");
    let bundle = certificate.to_str().unwrap();
    let mut other = tls(port, &certificate);
    wait_for_port(port);

    let trusting = Berth::start(&[
        ("BERTH__READINESS__CHECKS", &url("localhost")),
        ("SSL_CERT_FILE", bundle),
    ]);
    follows(&trusting, 200, "its authority is in the bundle");
    let mut elsewhere = Berth::start(&[
        ("BERTH__READINESS__CHECKS", &url("127.0.0.1")),
        ("SSL_CERT_FILE", bundle),
    ]);
    let line = elsewhere.wait_for_log("readiness check dep failed");
    assert!(line.contains("certificate"), "{line}");
    stays(&elsewhere, 503, "the certificate is for another name");
    let mut strict = start(&url("localhost"));
    let line = strict.wait_for_log("readiness check dep failed");
    assert!(line.contains("certificate"), "{line}");
    stays(
        &strict,
        503,
        "the system's bundle does not have its authority",
    );

    other.kill().unwrap();
    other.wait().unwrap();
    follows(&trusting, 503, "it was killed");
    let mut other = tls(port, &certificate);
    follows(&trusting, 200, "it came back");
    other.kill().unwrap();
    other.wait().unwrap();

    let none = berth(&[
        ("BERTH__READINESS__CHECKS", &url("localhost")),
        ("SSL_CERT_FILE", "/none.pem"),
    ])
    .output()
    .unwrap();
    assert_eq!(none.status.code(), Some(1));
    let text = String::from_utf8(none.stderr).unwrap();
    assert!(text.contains("the CA bundle /none.pem"), "{text}");
}
