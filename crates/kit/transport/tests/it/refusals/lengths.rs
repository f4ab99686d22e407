//! What never becomes a request, and who is told of it.

use std::time::{Duration, Instant};

use berth_kit_transport::Timeouts;

use crate::fixture::{
    client::Client,
    server::{DEADLINE, Server, eventually},
};

/// Asserts that the client gets this refusal and then the end, and that the server's owner was told.
#[track_caller]
fn assert_refused(server: &Server, client: &mut Client, status: u16) {
    let answer = client.read();
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.text(), format!("refused: {status}"));
    assert_eq!(answer.header("x-refused"), Some(&*status.to_string()));
    assert!(answer.header("date").unwrap().ends_with(" GMT"));
    answer.assert_closes(true);
    client.assert_closed();
    let last = server.refusals().last().copied();
    assert_eq!(last, Some((status, client.address())));
}

/// Asserts that these bytes are refused as the first ones of a connection.
#[track_caller]
fn refused(server: &Server, bytes: impl AsRef<[u8]>, status: u16) {
    let before = server.refusals().len();
    let mut client = server.connect();
    // It may answer before it has been sent everything.
    let _ = client.try_send(bytes);
    assert_refused(server, &mut client, status);
    assert_eq!(server.refusals().len(), before + 1);
}

fn quick_head() -> Timeouts {
    Timeouts {
        head: Duration::from_millis(300),
        ..Timeouts::default()
    }
}

#[test]
fn a_silent_client_gets_408() {
    let server = Server::with_timeouts(quick_head());
    let start = Instant::now();
    refused(&server, "", 408);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn half_a_head_gets_408() {
    let server = Server::with_timeouts(quick_head());
    refused(&server, "GET /hello HTTP/1.1\r\nHost: t\r\n", 408);
    // Nor does it help to go on a little.
    let mut client = server.connect();
    let start = Instant::now();
    client.send("GET /hello HTTP/1.1\r\n");
    while client.try_send("X: y\r\n").is_ok() && start.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.read().status, 408);
    assert!(start.elapsed() < DEADLINE);
    eventually("both are told of", || server.refusals().len() == 2);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn too_many_headers_get_431() {
    let server = Server::start();
    let head = |headers: usize| {
        let headers = "X: y\r\n".repeat(headers - 1);
        format!("GET /hello HTTP/1.1\r\nHost: t\r\n{headers}\r\n")
    };
    let mut client = server.connect();
    client.send(head(96));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    for headers in [97, 100, 101, 200, 5000] {
        refused(&server, head(headers), 431);
    }
}

#[test]
fn too_large_headers_get_431() {
    let server = Server::start();
    let head = |length: usize| {
        let value = "y".repeat(length);
        format!("GET /hello HTTP/1.1\r\nHost: t\r\nX: {value}\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(head(100_000));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    refused(&server, head(140_000), 431);
    refused(
        &server,
        format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(30_000)),
        431,
    );
}

#[test]
fn too_long_targets_get_414() {
    let server = Server::start();
    let head = |length: usize| {
        let query = "y".repeat(length);
        format!("GET /hello?{query} HTTP/1.1\r\nHost: t\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(head(60_000));
    assert_eq!(client.read().status, 200);
    client.assert_open();
    for length in [70_000, 200_000] {
        refused(&server, head(length), 414);
        refused(&server, head(length).replace("GET", "POST"), 414);
    }
}

#[test]
fn later_requests_are_refused_with_the_same_statuses() {
    let server = Server::start();
    let long = "y".repeat(200_000);
    let many = "X: y\r\n".repeat(100);
    let cases = [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n")),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\nX: {long}\r\n\r\n"),
        ),
        (431, format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n")),
        (413, length("18446744073709551615")),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, "what is this?\r\n\r\n".to_owned()),
    ];
    let firsts = [
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    for (status, bytes) in &cases {
        for first in firsts {
            for is_pipelined in [false, true] {
                let mut client = server.connect();
                if is_pipelined {
                    let _ = client.try_send([first, bytes].concat());
                    assert_eq!(client.read().text(), "hello");
                } else {
                    client.send(first);
                    assert_eq!(client.read().text(), "hello");
                    let _ = client.try_send(bytes);
                }
                assert_refused(&server, &mut client, *status);
            }
        }
    }
}

/// A request with this length, and without a body.
fn length(value: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {value}\r\n\r\n")
}

#[test]
fn a_length_that_is_larger_than_any_body_gets_413() {
    let server = Server::start();
    refused(&server, length("18446744073709551615"), 413);
    refused(&server, length("18446744073709551614"), 413);
}

#[test]
fn a_length_that_is_no_number_gets_400() {
    let server = Server::start();
    for value in [
        "",
        "-1",
        "+5",
        "5, 5",
        "5,5",
        "0x5",
        "5 5",
        "five",
        "5.0",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        refused(&server, length(value), 400);
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn other_hosts_than_one_name_or_address_get_400() {
    let server = Server::start();
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b/c\r\n",
        "Host: a b\r\n",
        "Host: a/c\r\n",
        "Host: user@x\r\n",
        "Host: a, b\r\n",
        "Host: caf\u{e9}\r\n",
    ] {
        refused(&server, format!("GET / HTTP/1.1\r\n{hosts}\r\n"), 400);
    }
    assert_eq!(server.requests(), [""; 0]);
    for host in ["", "a", "a.b:80", "127.0.0.1", "[::1]:8080", "a_b"] {
        let mut client = server.connect();
        client.send(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.read().status, 200, "{host:?}");
    }
}

#[test]
fn other_transfer_codings_than_chunked_get_400() {
    let server = Server::start();
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked, gzip",
        "gzip",
        "identity",
        "x",
        "",
    ] {
        refused(
            &server,
            format!(
                "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
            ),
            400,
        );
    }
    refused(
        &server,
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn an_http_1_0_request_whose_length_is_not_said_gets_400() {
    let server = Server::start();
    for method in ["POST", "PUT", "PATCH"] {
        refused(
            &server,
            format!("{method} /echo HTTP/1.0\r\n\r\nhello"),
            400,
        );
    }
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read().status, 200);
}

#[test]
fn what_is_not_http_1_gets_400() {
    let server = Server::start();
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and so on",
        b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\n a: folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nspace : before\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\na: \0\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GE(T / HTTP/1.1\r\nHost: t\r\n\r\n",
    ] {
        refused(&server, bytes, 400);
    }
    assert_eq!(server.requests(), [""; 0]);
}

/// Lines that say the length of a body more than once.
const SEVERAL_LENGTHS: [&str; 8] = [
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: five\r\n",
    "Transfer-Encoding: chunked\r\ncontent-length: 0\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
];

/// Heads with these lines: short and long, with the lines apart, and with targets that can be written in
/// more than one way.
fn heads(lengths: &str) -> Vec<String> {
    let padding = |size: usize| format!("X: {}\r\n", "y".repeat(size));
    let (first, second) = lengths.split_at(lengths.find('\n').unwrap() + 1);
    let mut heads: Vec<_> = [
        "/echo",
        "/echo#a",
        "/echo?#a",
        "http://t",
        "HTTP://T/echo",
        "*",
    ]
    .iter()
    .map(|target| format!("POST {target} HTTP/1.1\r\nHost: t\r\n{lengths}\r\n"))
    .collect();
    for size in [100, 3_000, 10_000, 20_000, 129_000] {
        let padding = padding(size);
        heads.push(format!(
            "POST /echo HTTP/1.1\r\nHost: t\r\n{padding}{lengths}\r\n"
        ));
        heads.push(format!(
            "POST /echo HTTP/1.1\r\nHost: t\r\n{first}{padding}{second}\r\n"
        ));
    }
    heads.push(format!("\r\n\nPOST /echo HTTP/1.1\nHost: t\n{lengths}\n").replace('\r', ""));
    heads
}

const BODY: &str = "0\r\n\r\nGET /not-this HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn several_lengths_get_400() {
    let server = Server::start();
    for lengths in SEVERAL_LENGTHS {
        for head in heads(lengths) {
            refused(&server, head + BODY, 400);
        }
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn several_lengths_get_400_however_the_head_is_cut() {
    let server = Server::start();
    for lengths in SEVERAL_LENGTHS {
        for head in heads(lengths) {
            let mut client = server.connect();
            let (first, second) = head.split_at(head.len() / 2);
            let (second, third) = second.split_at(second.len().saturating_sub(20));
            for piece in [first, second, third, BODY] {
                if client.try_send(piece).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_refused(&server, &mut client, 400);
        }
    }
    assert_eq!(server.requests(), [""; 0]);
}

/// Requests that are answered with `hello`.
fn innocent() -> [String; 6] {
    let chunks = "3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
    let many = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n".repeat(40);
    let padding = "y".repeat(20_000);
    [
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(),
        "\r\nGET /hello HTTP/1.1\nHost: t\n\n\r\n".to_owned(),
        many,
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        format!("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!("POST /echo HTTP/1.1\r\nHost: t\r\nX: {padding}\r\nContent-Length: 5\r\n\r\nhello"),
    ]
}

/// Reads the answers to one of [`innocent`].
fn read_hello(client: &mut Client, requests: &str) {
    for _ in requests.matches(" HTTP/1.1") {
        assert_eq!(client.read().text(), "hello");
    }
}

#[test]
fn several_lengths_get_400_behind_another_request() {
    let server = Server::start();
    for lengths in SEVERAL_LENGTHS {
        for head in heads(lengths) {
            for first in innocent() {
                let mut client = server.connect();
                let _ = client.try_send(format!("{first}{head}{BODY}"));
                read_hello(&mut client, &first);
                assert_refused(&server, &mut client, 400);
            }
        }
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|line| line.ends_with("/hello") || line == "POST /echo")
    );
}

#[test]
fn several_lengths_get_400_after_the_answer_to_another_request() {
    let server = Server::start();
    for lengths in SEVERAL_LENGTHS {
        for head in heads(lengths) {
            for first in innocent() {
                let mut client = server.connect();
                client.send(&first);
                read_hello(&mut client, &first);
                let _ = client.try_send(format!("{head}{BODY}"));
                assert_refused(&server, &mut client, 400);
            }
        }
    }
}

#[test]
fn a_body_may_contain_the_text_of_any_request() {
    let server = Server::start();
    let mut client = server.connect();
    let text = format!(
        "POST /echo HTTP/1.1\r\nHost: t\r\n{}\r\n0\r\n\r\n",
        SEVERAL_LENGTHS[0]
    );
    for text in [text.clone(), text.repeat(100)] {
        let size = text.len();
        let sized =
            format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n{text}");
        let chunked = format!(
            "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{text}\r\n0\r\n\r\n"
        );
        // One after the other, and then all at once.
        for request in [&sized, &chunked, &sized] {
            client.send(request);
            assert_eq!(client.read().text(), text);
        }
        client.send([&*sized, &chunked, &sized, &chunked].concat());
        for _ in 0..4 {
            assert_eq!(client.read().text(), text);
        }
    }
    client.assert_open();
    assert_eq!(server.refusals(), []);
}
