use actix_web::http::header::HeaderValue;
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// Of the nearest proxy.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn proxies() -> TrustedProxies {
    let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"];
    TrustedProxies::new(&networks.map(|network| network.parse().unwrap()))
}

/// Who the client is by these headers, where `peer` is the nearest.
fn seen_from(peer: IpAddr, lines: &[(&str, &[u8])]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    proxies().client(peer, &headers).to_string()
}

fn x_forwarded_for(value: &str) -> String {
    seen_from(PEER, &[("x-forwarded-for", value.as_bytes())])
}

fn forwarded(value: &str) -> String {
    seen_from(PEER, &[("forwarded", value.as_bytes())])
}

#[test]
fn only_a_trusted_peer_is_believed() {
    let lines: [(&str, &[u8]); 2] = [
        ("x-forwarded-for", b"192.0.2.7"),
        ("forwarded", b"for=192.0.2.7"),
    ];
    assert_eq!(seen_from(PEER, &lines), "192.0.2.7");
    let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into();
    assert_eq!(seen_from(mapped, &lines), "192.0.2.7");
    for stranger in ["198.51.100.1", "11.0.0.1", "2001:db8::1", "::1"] {
        assert_eq!(seen_from(stranger.parse().unwrap(), &lines), stranger);
    }
    let mapped: IpAddr = "::ffff:198.51.100.1".parse().unwrap();
    assert_eq!(seen_from(mapped, &lines), "198.51.100.1");
    let nobody = TrustedProxies::default();
    assert_eq!(nobody.client(PEER, &HeaderMap::new()), PEER);
    assert_eq!(seen_from(PEER, &[]), "10.0.0.1");
}

#[test]
fn a_chain_is_read_from_the_right_up_to_the_first_stranger() {
    for (value, client) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.9.9.9", "192.0.2.7"),
        ("192.0.2.7,10.9.9.9,2001:db8:ffff::1", "192.0.2.7"),
        // What a client has made up stands to the left of what the proxy has seen.
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("10.1.1.1, 192.0.2.7, 10.9.9.9", "192.0.2.7"),
        // All of them are ours: then it began at the first.
        ("10.1.1.1, 10.9.9.9", "10.1.1.1"),
        ("192.0.2.7, , 10.9.9.9,", "192.0.2.7"),
        ("", "10.0.0.1"),
        (" , ", "10.0.0.1"),
    ] {
        assert_eq!(x_forwarded_for(value), client, "{value}");
        let elements: Vec<_> = value
            .split(',')
            .map(|node| match node.trim() {
                "" => String::new(),
                node if node.contains(':') => format!("for=\"[{node}]\""),
                node => format!("proto=https; For={node} ;by=_x"),
            })
            .collect();
        assert_eq!(forwarded(&elements.join(",")), client, "{elements:?}");
    }
}

#[test]
fn several_lines_are_one_chain() {
    let lines: [(&str, &[u8]); 3] = [
        ("x-forwarded-for", b"203.0.113.9"),
        ("X-Forwarded-For", b"192.0.2.7"),
        ("x-forwarded-for", b"10.9.9.9"),
    ];
    assert_eq!(seen_from(PEER, &lines), "192.0.2.7");
}

#[test]
fn a_node_may_have_a_port_and_brackets() {
    for (node, client) in [
        ("192.0.2.7:80", "192.0.2.7"),
        ("192.0.2.7:_port", "192.0.2.7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("[2001:db8::7]:_p.1-x", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
    ] {
        assert_eq!(x_forwarded_for(node), client, "{node}");
        assert_eq!(forwarded(&format!("for=\"{node}\"")), client, "{node}");
    }
}

#[test]
fn what_is_no_address_ends_the_chain() {
    for node in [
        "unknown",
        "_hidden",
        "_SEVKISEK",
        "example.com",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.7:",
        "192.0.2.7:123456",
        "192.0.2.7:80:80",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[192.0.2.7]",
        "2001:db8::7]",
        "fe80::1%eth0",
        "192.0.2.7 ; x",
        "\"192.0.2.7",
        "-",
        "%31",
        "127.1",
        "0x7f000001",
    ] {
        let value = format!("203.0.113.9, {node}");
        assert_eq!(x_forwarded_for(&value), "10.0.0.1", "{value}");
        // The one before it has still been seen by a proxy of ours.
        let value = format!("203.0.113.9, {node}, 10.9.9.9");
        assert_eq!(x_forwarded_for(&value), "10.9.9.9", "{value}");
    }
    for element in [
        "for=unknown",
        "for=_hidden",
        "for=",
        "for",
        "by=192.0.2.7",
        "proto=https",
        "for=192.0.2.7;for=192.0.2.8",
        "for=\"192.0.2.7",
        "192.0.2.7",
        "for = = 192.0.2.7",
    ] {
        let value = format!("for=203.0.113.9, {element}, for=10.9.9.9");
        assert_eq!(forwarded(&value), "10.9.9.9", "{value}");
    }
    let bytes: [(&str, &[u8]); 1] = [("x-forwarded-for", b"203.0.113.9, \xff\xfe")];
    assert_eq!(seen_from(PEER, &bytes), "10.0.0.1");
    // Nor does what a client has put there spoil what the proxy has written behind it.
    let bytes: [(&str, &[u8]); 1] = [("x-forwarded-for", b"\xff\xfe, 192.0.2.7")];
    assert_eq!(seen_from(PEER, &bytes), "192.0.2.7");
}

#[test]
fn no_open_quote_swallows_what_a_proxy_adds() {
    for forged in [
        "for=\"203.0.113.9",
        "for=203.0.113.9;x=\"",
        "x=\"\\",
        "x=\"\\\"",
        "\"",
        "\\",
        "\"\\\"\"",
        ";;;=\",\"",
    ] {
        for added in [
            "for=192.0.2.7",
            "for=\"192.0.2.7:4711\";host=\"a,b;c\"",
            "host=\"a\\\",\";for=192.0.2.7",
        ] {
            let value = format!("{forged}, {added}");
            assert_eq!(forwarded(&value), "192.0.2.7", "{value}");
        }
    }
}

#[test]
fn two_headers_that_contradict_each_other_are_not_believed() {
    let both = |forwarded: &str, x_forwarded_for: &str| {
        seen_from(
            PEER,
            &[
                ("forwarded", forwarded.as_bytes()),
                ("x-forwarded-for", x_forwarded_for.as_bytes()),
            ],
        )
    };
    assert_eq!(both("for=192.0.2.7", "192.0.2.7"), "192.0.2.7");
    // One of them is the proxy's; which one, cannot be told.
    assert_eq!(both("for=203.0.113.9", "192.0.2.7"), "10.0.0.1");
    assert_eq!(both("for=192.0.2.7", "203.0.113.9"), "10.0.0.1");
    assert_eq!(both("garbage", "192.0.2.7"), "10.0.0.1");
}

proptest! {
    // The same cases every time, so that a failure is there again at the next run.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_that_a_client_sends_is_taken_for_what_a_proxy_saw(
        forged in prop::collection::vec(prop_oneof![
            b' '..0x7f,
            0x80..=u8::MAX,
            prop::sample::select(&b"\",;=\\[]:\t"[..]),
        ], 0..60),
        quoted in any::<bool>(),
    ) {
        let line = |added: &str| [&forged, &b", "[..], added.as_bytes()].concat();
        prop_assert_eq!(seen_from(PEER, &[("x-forwarded-for", &line("192.0.2.7"))]), "192.0.2.7");
        let added = if quoted { "for=\"192.0.2.7:80\";by=_x" } else { "proto=http;for=192.0.2.7" };
        prop_assert_eq!(seen_from(PEER, &[("forwarded", &line(added))]), "192.0.2.7");
        // Nor does it take a proxy of ours for anything but a proxy of ours or what stands before it.
        let mine = seen_from(PEER, &[("forwarded", &line("for=unknown"))]);
        prop_assert_eq!(mine, "10.0.0.1");
    }
}
