//! Who the client is: behind proxies that are trusted, and for those that only pretend.

use berth_testkit::Client;

use crate::process::{Berth, berth};

const DEBUG: (&str, &str) = ("BERTH__DEBUG__ROUTES", "true");
const JSON: (&str, &str) = ("BERTH__LOG__FORMAT", "json");
const LOOPBACK: (&str, &str) = (
    "BERTH__SERVER__TRUSTED_PROXIES",
    "[\"127.0.0.0/8\", \"10.0.0.0/8\"]",
);
const PROXY: (&str, &str) = ("BERTH__SERVER__PROXY_PROTOCOL", "true");

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Who the client of a request with these headers is, as a handler sees it.
fn client_ip(client: &mut Client, headers: &str) -> String {
    let seen = client.request("GET", "/debug/headers", headers).json();
    seen["client_ip"].as_str().unwrap().to_owned()
}

/// Version 2, of this command, address family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

#[test]
fn a_trusted_proxy_is_believed_by_handlers_and_log() {
    let server = Berth::start(&[DEBUG, JSON, LOOPBACK]);
    let mut client = server.client();
    for (headers, expected) in [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.2\r\n", "192.0.2.2"),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.3, 10.0.0.7\r\n",
            "192.0.2.3",
        ),
        (
            "Forwarded: for=\"[2001:db8::4]:4711\";proto=https\r\n",
            "2001:db8::4",
        ),
        ("Forwarded: for=203.0.113.9, for=_hidden\r\n", "127.0.0.1"),
        (
            "X-Forwarded-For: 192.0.2.5, unknown, 10.0.0.7\r\n",
            "10.0.0.7",
        ),
        (
            "Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 192.0.2.6\r\n",
            "127.0.0.1",
        ),
    ] {
        assert_eq!(client_ip(&mut client, headers), expected, "{headers}");
    }
    let log = server.stop();
    for seen in [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "2001:db8::4",
        "10.0.0.7",
    ] {
        let field = format!("\"client_ip\":\"{seen}\"");
        assert_eq!(
            log.iter().filter(|line| line.contains(&field)).count(),
            1,
            "{log:#?}"
        );
    }
    assert!(
        !log.iter().any(|line| line.contains("203.0.113.9")),
        "{log:#?}"
    );
}

#[test]
fn nobody_else_is_believed() {
    for proxies in ["[]", "[\"10.0.0.0/8\"]"] {
        let server = Berth::start(&[DEBUG, ("BERTH__SERVER__TRUSTED_PROXIES", proxies)]);
        let mut client = server.client();
        for headers in [
            "X-Forwarded-For: 192.0.2.1\r\n",
            "X-Forwarded-For: 10.0.0.1\r\n",
            "Forwarded: for=192.0.2.1\r\n",
            "X-Real-Ip: 192.0.2.1\r\n",
        ] {
            assert_eq!(client_ip(&mut client, headers), "127.0.0.1", "{headers}");
        }
        let log = server.stop();
        assert!(
            !log.iter().any(|line| line.contains("192.0.2.1")),
            "{log:#?}"
        );
    }
}

#[test]
fn a_proxy_header_names_the_client_of_its_connection() {
    let server = Berth::start_behind(&[DEBUG, JSON, LOOPBACK, PROXY]);
    let v4 = [192, 0, 2, 8, 10, 0, 0, 1, 0, 80, 0, 80];
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(),
            "192.0.2.7",
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21, 0x11, &v4), "192.0.2.8"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
    ] {
        // As it comes, byte by byte, and together with the request.
        for pieces in [1, 5, header.len()] {
            let mut client = server.client();
            for piece in header.chunks(pieces) {
                client.send(piece);
                if pieces < header.len() {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
            assert_eq!(client_ip(&mut client, ""), expected, "{header:?}");
            // It holds for the connection, and is what the headers count from.
            assert_eq!(
                client_ip(&mut client, "X-Forwarded-For: 203.0.113.9\r\n"),
                {
                    if expected == "127.0.0.1" {
                        "203.0.113.9"
                    } else {
                        expected
                    }
                }
            );
        }
        let mut client = server.client();
        let request = b"GET /debug/headers HTTP/1.1\r\nHost: t\r\n\r\n";
        client.send([&header, &request[..], request].concat());
        for _ in 0..2 {
            assert_eq!(client.read().json()["client_ip"], expected);
        }
    }
    // Two proxies, one behind the other: the second is trusted with what it says of the first's client.
    let mut client = server.client();
    client.send("PROXY TCP4 10.0.0.9 10.0.0.1 1 80\r\n");
    assert_eq!(
        client_ip(&mut client, "X-Forwarded-For: 203.0.113.9\r\n"),
        "203.0.113.9"
    );
    server.stop();
}

#[test]
fn a_trusted_peer_without_a_header_is_refused() {
    let server = Berth::start_behind(&[
        LOOPBACK,
        PROXY,
        JSON,
        ("BERTH__SERVER__CLIENT_HEADER_TIMEOUT", "300ms"),
    ]);
    for wrong in [
        &b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01",
        &v2(0x2f, 0x11, &[0; 12]),
        &v2(0x21, 0x11, &[0; 4]),
        &[SIGNATURE, b"\x21\x11\xff\xff"].concat(),
        &[b'P'; 300],
    ] {
        let mut client = server.client();
        client.send(wrong);
        let answer = client.read();
        assert!(
            answer.assert_problem(400).contains("PROXY header"),
            "{wrong:?}"
        );
        assert!(client.is_closed());
    }
    // One that does not come in time; and a peer that looks whether the port is open, and says nothing.
    for begin in ["", "PROXY TCP4 192."] {
        let mut client = server.client();
        client.send(begin);
        assert!(
            client.read().assert_problem(408).contains("PROXY header"),
            "{begin}"
        );
        drop(server.client());
    }
    let log = server.stop();
    assert!(
        !log.iter().any(|line| line.contains("\"level\":\"ERROR\"")),
        "{log:#?}"
    );
    let refused = log
        .iter()
        .filter(|line| line.contains("\"status\":400"))
        .count();
    assert_eq!(refused, 8, "{log:#?}");
}

#[test]
fn a_header_of_anybody_else_is_no_request() {
    // Those who are not trusted speak HTTP as ever, such as the kubelet's probes.
    for settings in [
        &[
            ("BERTH__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            PROXY,
        ][..],
        &[LOOPBACK],
    ] {
        let server = Berth::start(settings);
        for header in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            v2(0x21, 0x11, &[192, 0, 2, 8, 10, 0, 0, 1, 0, 80, 0, 80]),
        ] {
            let mut client = server.client();
            client.send([&header, &b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n"[..]].concat());
            client.read().assert_problem(400);
            assert!(client.is_closed());
        }
        let log = server.stop();
        assert!(
            !log.iter().any(|line| line.contains("192.0.2.")),
            "{log:#?}"
        );
    }
}

#[test]
fn a_stop_does_not_wait_for_a_header() {
    let mut server = Berth::start_behind(&[LOOPBACK, PROXY, ("BERTH__SHUTDOWN__TIMEOUT", "10s")]);
    let mut silent = server.client();
    silent.send("PROXY TCP4 ");
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.signal("TERM");
    let (code, time) = server.wait_timed();
    assert_eq!(code, Some(0), "{:#?}", server.log());
    assert!(time < std::time::Duration::from_secs(4), "{time:?}");
}

#[test]
fn the_health_check_speaks_as_a_trusted_proxy_does() {
    let server = Berth::start_behind(&[LOOPBACK, PROXY]);
    let port = server.addr.port().to_string();
    let status = berth(&[LOOPBACK, PROXY, ("PORT", &port)])
        .arg("healthcheck")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    server.stop();
}
