//! Where the management port listens, and by which names it may be asked.

use std::net::SocketAddr;

use berth_testkit::{Client, Response};

use crate::process::{Berth, berth};

use super::{get, start};

fn asked(address: SocketAddr, target: &str, host: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.read()
}

/// DNS rebinding: a browser sends the page's name as `Host`, whatever address that name has been made to stand for.
#[test]
fn a_page_of_another_name_reads_and_changes_nothing() {
    let (mut server, private) = start(&[("BERTH__DEBUG__ROUTES", "true")]);
    let port = private.port();
    for path in [
        "/settings",
        "/metrics",
        "/health",
        "/ready",
        "/log-filter",
        "/faults",
        "/openapi.json",
        "/nothing",
    ] {
        let refused = asked(private, path, &format!("evil.example:{port}"));
        let detail = refused.assert_problem(421);
        assert!(detail.contains("management.allowed_hosts"), "{detail}");
        assert!(refused.header("x-request-id").is_some());
        assert!(!refused.text().contains("evil"), "{refused:?}");
    }
    for host in [
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.local",
        "t.evil.svc.example",
    ] {
        asked(private, "/settings", host).assert_problem(421);
    }
    // The target may name a host as well; neither is believed for the other.
    for (target, host) in [
        ("http://evil.example/settings", "localhost"),
        ("http://localhost:1@evil.example/settings", "localhost"),
        ("http://localhost/settings", "evil.example"),
    ] {
        asked(private, target, host).assert_problem(421);
    }

    let before = get(private, "/log-filter").json();
    for method in ["PUT", "DELETE"] {
        let mut client = Client::connect(private);
        let body = r#"{ "filter": "trace" }"#;
        client.send(format!(
            "{method} /log-filter HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.read().assert_problem(421);
    }
    assert_eq!(get(private, "/log-filter").json(), before);
    let line = server.wait_for_log("[PUT]");
    assert!(line.contains("421"), "{line}");

    // Whoever asks the public port by whatever name gets what anybody gets.
    let public = asked(server.addr, "/api/v1/hello", "evil.example");
    assert_eq!(public.status, 200);
    server.stop();
}

#[test]
fn probes_scrapes_and_operators_are_answered() {
    let (server, private) = start(&[
        ("HOSTNAME", "node7.example.net"),
        (
            "BERTH__MANAGEMENT__ALLOWED_HOSTS",
            "['metrics.example.com', '.prod.test']",
        ),
    ]);
    let port = private.port();
    for host in [
        // A probe and a scrape by the pod's address, and one by curl through a tunnel.
        format!("10.244.1.7:{port}"),
        format!("[fd00::7]:{port}"),
        format!("localhost:{port}"),
        // In a network of containers, and of a cluster.
        format!("berth:{port}"),
        format!("berth.shop.svc:{port}"),
        format!("berth.shop.svc.cluster.local:{port}"),
        format!("10-244-1-7.shop.pod.cluster.local:{port}"),
        // The machine's, and what the settings allow.
        format!("Node7.example.net:{port}"),
        "metrics.example.com".to_owned(),
        "berth.prod.test".to_owned(),
    ] {
        for path in ["/health", "/ready", "/metrics", "/settings"] {
            assert_eq!(asked(private, path, &host).status, 200, "{host} {path}");
        }
    }
    asked(private, "/settings", "example.com").assert_problem(421);
    // No browser leaves it out; HTTP/1.0 may.
    let mut client = Client::connect(private);
    client.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(client.read().status, 200);
    server.stop();
}

#[test]
fn it_listens_where_it_is_told() {
    let mut server = Berth::start(&[
        ("BERTH__MANAGEMENT__PORT", "0"),
        ("BERTH__MANAGEMENT__HOST", "127.0.0.2"),
    ]);
    let line = server.wait_for_log("management port on http://");
    let private: SocketAddr = line.rsplit("http://").next().unwrap().parse().unwrap();
    assert_eq!(private.ip().to_string(), "127.0.0.2");
    assert_eq!(server.addr.ip().to_string(), "127.0.0.1");
    assert_eq!(get(private, "/settings").status, 200);
    let beside = SocketAddr::new(server.addr.ip(), private.port());
    assert!(Client::try_connect(beside).is_err());
    server.stop();

    for (host, says) in [
        (
            "192.0.2.1",
            "192.0.2.1:0: this machine does not have the address (set management.host to",
        ),
        (
            "no-such-host.invalid",
            "no-such-host.invalid:0: the host name has no address (set management.host to",
        ),
    ] {
        let output = berth(&[
            ("BERTH__MANAGEMENT__PORT", "0"),
            ("BERTH__MANAGEMENT__HOST", host),
        ])
        .output()
        .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(says), "{said}");
    }
}
