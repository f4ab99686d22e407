//! Bodies whose length is wrong, not said, or said more than once.

use std::time::Duration;

use crate::fixture::{client::Client, server::Server};

use super::{assert_refused, length, refused};

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
