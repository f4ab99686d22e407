//! What a client gets wrong is its own fault: counted, and no line that calls an operator.

use std::{io::Read as _, io::Write as _, net::TcpStream};

use crate::process::Berth;

/// What comes to a port of HTTP in the wild.
const MISTAKES: [(&str, &[u8]); 8] = [
    (
        "TLS",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz",
    ),
    (
        "RDP",
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
    ),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("Redis", b"*1\r\n$4\r\nPING\r\n"),
    (
        "HTTP/2 without its negotiation",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    ("SMB", b"\0\0\0\x54\xffSMBr"),
    (
        "a host with a space",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ),
    (
        "two lengths",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ),
];

#[test]
fn what_is_no_http_is_counted_and_no_error() {
    let server = Berth::start(&[("BERTH__LOG__FILTER", "debug")]);
    for (name, bytes) in MISTAKES {
        let mut client = server.client();
        client.send(bytes);
        assert_eq!(client.read().status, 400, "{name}");
        assert!(client.is_closed(), "{name}");
    }
    // And what breaks off, in all the ways there are.
    for bytes in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nHost: t\r\n",
        b"\x16\x03\x01",
    ] {
        let mut client = server.client();
        client.send(bytes);
        client.leave();
        let mut client = TcpStream::connect(server.addr).unwrap();
        client.write_all(bytes).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    }
    let counted = "api_requests_total{endpoint=\"unmatched\",method=\"other\",status=\"400\"}";
    let count = server.get("/metrics").sample(counted).map(str::to_owned);
    let count: usize = count.unwrap().parse().unwrap();
    assert!(count >= MISTAKES.len(), "{count}");
    let log = server.stop();
    for level in [" ERROR ", " WARN "] {
        assert!(!log.iter().any(|line| line.contains(level)), "{log:#?}");
    }
    let told =
        |line: &&String| line.contains(" DEBUG ") && line.contains("refused what 127.0.0.1 sent");
    assert!(
        log.iter().filter(told).count() >= MISTAKES.len(),
        "{log:#?}"
    );
}
