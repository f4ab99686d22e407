//! Which addresses a host stands for, and what becomes of those that cannot be had.

use std::{collections::HashSet, net::TcpListener};

use crate::process::{Berth, berth, free_port};

/// Where it listens, as the log says.
fn addresses(log: &[String]) -> Vec<String> {
    log.iter()
        .filter_map(|line| line.split_once("listening on http://"))
        .map(|(_, rest)| rest.split(' ').next().unwrap().to_owned())
        .collect()
}

/// `localhost` has two addresses on many a machine, and they have one port.
#[test]
fn every_address_of_a_host_has_the_same_port() {
    let server = Berth::start(&[("BERTH__SERVER__HOST", "localhost")]);
    let addresses = addresses(&server.log());
    let ports: HashSet<_> = addresses
        .iter()
        .map(|address| address.rsplit(':').next().unwrap())
        .collect();
    assert_eq!(ports.len(), 1, "{addresses:?}");
    let distinct: HashSet<_> = addresses.iter().collect();
    assert_eq!(distinct.len(), addresses.len(), "{addresses:?}");
    server.stop();
}

#[test]
fn an_ipv4_address_in_ipv6_is_the_ipv4_address() {
    let server = Berth::start(&[("BERTH__SERVER__HOST", "::ffff:127.0.0.1")]);
    let log = server.stop();
    assert!(addresses(&log)[0].starts_with("127.0.0.1:"), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("::ffff:")), "{log:#?}");
}

/// On all addresses, whatever `net.ipv6.bindv6only` says; and nobody has to know how an IPv4 client has come.
#[test]
fn clients_of_ipv4_are_such_on_all_addresses() {
    let port = free_port();
    let text = port.to_string();
    let server = Berth::start_at(
        &[
            ("BERTH__SERVER__HOST", "::"),
            ("PORT", &text),
            ("BERTH__DEBUG__ROUTES", "true"),
            ("BERTH__LOG__FORMAT", "json"),
        ],
        port,
    );
    let seen = server.get("/debug/headers").json();
    assert_eq!(seen["client_ip"], "127.0.0.1");
    assert!(seen["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    // What is no request has a client, too.
    let mut client = server.client();
    client.send("nothing\r\n\r\n");
    assert_eq!(client.read().status, 400);
    let log = server.stop();
    assert!(!log.iter().any(|line| line.contains("::ffff:")), "{log:#?}");
    for of_request in ["\"path\":\"/debug/headers\"", "\"path\":\"-\""] {
        let line = log.iter().find(|line| line.contains(of_request)).unwrap();
        assert!(line.contains("\"client_ip\":\"127.0.0.1\""), "{line}");
    }
}

#[test]
fn a_port_in_use_on_one_address_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = berth(&[("BERTH__SERVER__HOST", "localhost"), ("PORT", &port)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("address already in use"), "{told}");
}
