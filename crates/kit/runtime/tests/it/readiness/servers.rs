//! Checks of real servers of other kinds.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::Postgres;

use crate::process::{Berth, berth, free_port};

use super::{
    api_is_not_slower, check,
    dependency::{Dependency, Redis, tls, wait_for_port},
    follows, impatient, ready, start, stays,
};

/// Down at the start, up, hanging, going on, killed, back.
fn the_whole_story(url: &str, dependency: &mut impl Dependency) {
    dependency.kill();
    let server = start(&check(url, ""));
    stays(&server, 503, "it is down at the start");
    dependency.restart();
    follows(&server, 200, "it came up");
    dependency.signal("STOP");
    follows(&server, 503, "it hangs");
    api_is_not_slower(&server);
    stays(&server, 503, "it still hangs");
    dependency.signal("CONT");
    follows(&server, 200, "it goes on");
    dependency.kill();
    follows(&server, 503, "it was killed");
    dependency.restart();
    follows(&server, 200, "it came back");
    server.stop();
}

#[test]
#[ignore = "needs redis-server: just test-readiness"]
fn redis_of_all_kinds() {
    let mut cache = Redis::start(&[]);
    let port = cache.port;
    the_whole_story(
        &format!("redis://:right%20word@127.0.0.1:{port}/1"),
        &mut cache,
    );

    let mut server = start(&check(&format!("redis://:wrong@127.0.0.1:{port}/1"), ""));
    let line = server.wait_for_log("readiness check dep failed");
    assert!(line.to_lowercase().contains("pass"), "{line}");
    stays(&server, 503, "the password is wrong");
    assert!(!server.log().concat().contains("wrong"));
    let server = start(&check(&format!("redis://127.0.0.1:{port}"), ""));
    stays(&server, 503, "there is no password");
}

/// Whatever the other side does with connections that nobody uses, it is there. For some intervals.
fn no_attempt_fails(url: &str, interval: Duration) {
    let seconds = interval.as_secs();
    let check = format!(
        "[{{ name = 'dep', url = '{url}', interval = '{seconds}s', timeout = '1s', failure_threshold = 1 }}]"
    );
    let server = start(&check);
    follows(&server, 200, "it is there");
    let end = Instant::now() + interval * 3 + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(ready(&server).0, 200);
        thread::sleep(Duration::from_millis(20));
    }
    server.stop();
}

#[test]
#[ignore = "needs redis-server: just test-readiness"]
fn a_connection_closed_by_redis_of_all_kinds() {
    let mut cache = Redis::start(&["--timeout", "2"]);
    let url = format!("redis://:right%20word@127.0.0.1:{}", cache.port);
    no_attempt_fails(&url, Duration::from_secs(4));
    // And one that has ended with the server.
    let server = start(&impatient(&check(&url, "")));
    follows(&server, 200, "it is there");
    cache.kill();
    follows(&server, 503, "it is gone");
    cache.restart();
    follows(&server, 200, "it came back");
    stays(&server, 200, "and stays");
}

#[test]
#[ignore = "needs PostgreSQL: just test-readiness"]
fn a_connection_closed_by_postgres_of_all_kinds() {
    let postgres = Postgres::start_with_auth("scram-sha-256");
    let closes = "options=-c%20idle_session_timeout%3D1s";
    no_attempt_fails(
        &format!("{}?{closes}", postgres.url("postgres")),
        Duration::from_secs(2),
    );
}

#[test]
#[ignore = "needs PostgreSQL: just test-readiness"]
fn postgres_of_all_kinds() {
    let mut postgres = Postgres::start_with_auth("scram-sha-256");
    let url = postgres.url("postgres");
    assert!(url.contains("app:pass%20word@"), "{url}");
    the_whole_story(&url, &mut postgres);

    let mut server = start(&check(&url.replace("pass%20word", "wrong"), ""));
    let line = server.wait_for_log("readiness check dep failed");
    assert!(!line.contains("wrong"), "{line}");
    stays(&server, 503, "the password is wrong");
    let server = start(&check(&postgres.url("none"), ""));
    stays(&server, 503, "there is no such database");
}

/// What the driver can ask by is asked; what it cannot is refused before it is tried, the same by `check`.
#[test]
#[ignore = "needs redis-server and PostgreSQL: just test-readiness"]
fn forms_that_people_paste_of_all_kinds() {
    let postgres = Postgres::start_with_auth("scram-sha-256");
    let (port, nobody) = (postgres.port(), free_port());
    let folder = postgres.socket_folder().display();
    let encoded = folder.to_string().replace('/', "%2F");
    let hosts = format!("127.0.0.1:{nobody},127.0.0.1:{port}");
    for (url, status) in [
        (format!("app:pass%20word@{hosts}/postgres"), 200),
        (
            format!("app:pass%20word@{hosts}/postgres?target_session_attrs=read-write"),
            200,
        ),
        (
            format!("app:pass%20word@{hosts}/postgres?target_session_attrs=read-only"),
            503,
        ),
        (
            format!("app:pass%20word@/postgres?host={folder}&port={port}&sslmode=prefer"),
            200,
        ),
        (format!("app:pass%20word@{encoded}:{port}/postgres"), 200),
        (format!("app:wrong@{encoded}:{port}/postgres"), 503),
    ] {
        let server = start(&check(&format!("postgres://{url}"), ""));
        follows(&server, status, &url);
        server.stop();
    }
    let cache = Redis::start(&[]);
    let (port, folder) = (cache.port, cache.folder());
    for (url, status) in [
        (
            format!("redis+unix://{folder}/redis.sock?pass=right%20word&db=1"),
            200,
        ),
        (format!("unix://{folder}/redis.sock?pass=right%20word"), 200),
        (format!("unix://{folder}/redis.sock"), 503),
        (
            format!("valkey://:right%20word@127.0.0.1:{port}/1?protocol=3"),
            200,
        ),
    ] {
        let server = start(&check(&url, ""));
        follows(&server, status, &url);
        server.stop();
    }

    for (url, says) in [
        (
            "postgres://app:hunter2@db/shop?schema=public",
            "`schema` is an option of other",
        ),
        (
            "postgres://app:hunter2@db/shop?sslmode=verify-full",
            "sslmode must be disable",
        ),
        (
            "postgres://app:hunter2@db/shop?sslmode=require",
            "without TLS",
        ),
        ("postgres://app:hunter2@db,/shop", "names no host"),
        ("redis://:hunter2@0.0.0.0", "wildcard"),
        ("redis://cache?protocol=hunter2", "protocol"),
        ("redis://:hunter2@a:1,b:2", "several checks"),
        ("rediss://:hunter2@cache", "without TLS"),
    ] {
        let checks = check(url, "");
        for args in [&["check"][..], &[]] {
            let mut command = berth(&[("BERTH__READINESS__CHECKS", &checks)]);
            let output = command.args(args).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{url}: {text}");
            assert!(text.contains(says), "{url}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
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
    assert_eq!(none.status.code(), Some(2));
    let text = String::from_utf8(none.stderr).unwrap();
    assert!(text.contains("the CA bundle /none.pem"), "{text}");
}
