//! The bodies of requests: read, half read, not read, and broken.

use std::{thread, time::Duration};

use crate::fixture::{
    client::Client,
    routes::pattern,
    server::{Server, eventually},
};

/// The head of a POST whose body has a length.
fn post(target: &str, length: usize) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

/// The head of a POST whose body comes in chunks.
fn post_chunks(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(size) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    chunks
}

#[test]
fn a_body_arrives_whole_however_it_is_sent() {
    let server = Server::start();
    let mut client = server.connect();
    for size in [1, 5, 8192, 16 * 1024 + 1, 1 << 20] {
        let body = pattern(size);
        client.send([post("/echo", size).as_bytes(), &body].concat());
        let answer = client.read();
        answer.assert_closes(false);
        assert!(answer.body == body);
        for chunk in [size.div_ceil(3), 70_000] {
            client.send([post_chunks("/echo").as_bytes(), &chunks(&body, chunk)].concat());
            let answer = client.read();
            answer.assert_closes(false);
            assert!(answer.body == body);
        }
    }
    client.send(post("/echo", 0));
    assert_eq!(client.read().body, b"");
    client.send([post_chunks("/echo").as_bytes(), b"0\r\n\r\n"].concat());
    assert_eq!(client.read().body, b"");
    client.assert_open();
}

#[test]
fn a_request_of_any_method_may_have_a_body() {
    let server = Server::start();
    let mut client = server.connect();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "X-OWN"] {
        client.send(post("/echo", 5).replace("POST", method) + "hello");
        assert_eq!(client.read().text(), "hello");
        client.send(post_chunks("/echo").replace("POST", method) + "5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(client.read().text(), "hello");
    }
    client.send(post("/echo", 5).replace("POST", "HEAD") + "hello");
    let answer = client.try_read(true).unwrap();
    assert_eq!(answer.header("content-length"), Some("5"));
    client.assert_open();
}

#[test]
fn a_body_arrives_whole_however_it_is_cut() {
    let server = Server::start();
    let mut client = server.connect();
    let body = pattern(60);
    let request = [post_chunks("/echo").as_bytes(), &chunks(&body, 17)].concat();
    for size in [1, 7, 50] {
        for piece in request.chunks(size) {
            client.send(piece);
            thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(client.read().body, body);
    }
    client.assert_open();
}

#[test]
fn extensions_and_trailers_of_chunks_are_left_out() {
    let server = Server::start();
    let mut client = server.connect();
    for end in [
        "0\r\n\r\n",
        "0;last\r\n\r\n",
        "000\r\nA: b\r\n\r\n",
        "0\r\nA: b\r\nHost: other\r\nContent-Length: 3\r\n\r\n",
    ] {
        client.send(format!(
            "{}3;name=\"value\"\r\nhel\r\n02 ;x\r\nlo\r\n{end}",
            post_chunks("/echo")
        ));
        assert_eq!(client.read().text(), "hello");
        client.assert_open();
    }
}

#[test]
fn a_body_is_asked_for_when_it_is_read() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(
            "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(client.line().unwrap(), "HTTP/1.1 100 Continue");
        assert_eq!(client.line().unwrap(), "");
        client.send("hello");
        assert_eq!(client.read().text(), "hello");
    }
    client.assert_open();
}

#[test]
fn a_body_that_is_refused_is_not_asked_for() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("POST /refused-by-length HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.read();
    assert_eq!(answer.status, 413);
    answer.assert_closes(true);
    client.assert_closed();

    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nHost: u\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read().status, 400);
    client.assert_closed();
}

#[test]
fn a_body_that_nobody_reads_ends_the_connection() {
    let server = Server::start();
    let text = "GET /not-this HTTP/1.1\r\nHost: t\r\n\r\n";
    let size = text.len();
    for request in [
        post("/ignored", size) + text,
        post("/ignored", size) + text + text,
        post("/ignored", size + 1) + text,
        post("/ignored", 1 << 30) + text,
        post_chunks("/ignored") + &format!("{size:x}\r\n{text}\r\n0\r\n\r\n{text}"),
        post_chunks("/ignored") + &format!("{:x}\r\n{text}", size * 3),
        post_chunks("/ignored"),
        post_chunks("/ignored") + text,
        post("/nowhere", size) + text,
    ] {
        let mut client = server.connect();
        client.send(&request);
        client.read().assert_closes(true);
        client.assert_closed();
    }
    assert!(!server.requests().contains(&"GET /not-this".to_owned()));
}

#[test]
fn a_client_that_still_sends_gets_the_answer_first() {
    let server = Server::start();
    for _ in 0..5 {
        let mut client = server.connect();
        client.send(post("/ignored", 1 << 20));
        client.send(pattern(1 << 20));
        let answer = client.read();
        assert_eq!(answer.text(), "ignored");
        answer.assert_closes(true);
        client.assert_closed();
    }
}

#[test]
fn a_body_that_is_half_read_ends_the_connection() {
    let server = Server::start();
    server.open_gate();
    let mut client = server.connect();
    client.send(post("/reads-one-piece", 5) + "hello");
    assert_eq!(client.read().text(), "5");
    client.assert_open();
    client.send(post("/answers-early", 10) + "hello");
    let answer = client.read();
    answer.assert_closes(true);
    client.assert_closed();
}

#[test]
fn a_body_that_ends_early_is_an_error_for_who_reads_it() {
    let server = Server::start();
    for request in [
        post("/echo", 10) + "hello",
        post_chunks("/echo") + "5\r\nhello\r\n",
        post_chunks("/echo") + "5\r\nhel",
        post_chunks("/echo") + "5\r\nhello\r\n0\r\n",
        post_chunks("/echo") + "5\r\nhello\r\n0\r\nA: b\r\n",
    ] {
        let mut client = server.connect();
        client.send(&request);
        client.finish_sending();
        let answer = client.read();
        assert_eq!(answer.status, 400, "{request:?}");
        client.assert_closed();
    }
    server.connect().assert_open();
}

#[test]
fn chunks_that_are_none_are_an_error_for_who_reads_them() {
    let server = Server::start();
    for body in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(post_chunks("/echo") + body);
        client.send("GET /not-this HTTP/1.1\r\nHost: t\r\n\r\n");
        let answer = client.read();
        assert_eq!(answer.status, 400, "{body:?}");
        client.assert_closed();
    }
    assert!(!server.requests().contains(&"GET /not-this".to_owned()));
}

#[test]
fn an_answer_does_not_wait_for_a_body_that_is_still_read() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post("/answers-while-reading", 10) + "hello");
    let answer = client.read();
    assert_eq!(answer.text(), "reading");
    answer.assert_closes(false);
    eventually("the first half is there", || server.counted() == 5);
    client.send("hello");
    eventually("the second half is there", || server.ended() == 1);
    assert_eq!(server.counted(), 10);
    client.assert_open();
}

/// Sends a request, and reads its answer of 8 MB slowly.
fn read_slowly(client: &mut Client, request: &str) {
    client.send(request);
    let answer = client.head().unwrap();
    assert_eq!(answer.status, 200, "{request}");
    thread::sleep(Duration::from_millis(300));
    let body = client.read_body(8 << 20);
    assert_eq!(body.len(), 8 << 20, "{request}");
    assert!(body == pattern(8 << 20));
}

#[test]
fn a_slow_client_gets_all_of_its_last_answer() {
    let server = Server::start();
    // A body that is read, one that is not, in each framing, and none.
    let bodies = [
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 50\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "\r\n",
    ];
    thread::scope(|scope| {
        for headers in [
            "",
            "Upgrade: h2c\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        ] {
            for close in ["", "Connection: close\r\n"] {
                for body in bodies {
                    let mut client = server.connect();
                    let line = "POST /sized/8388608 HTTP/1.1";
                    let request = format!("{line}\r\nHost: t\r\n{headers}{close}{body}");
                    scope.spawn(move || {
                        read_slowly(&mut client, &request);
                        client.finish_sending();
                        client.assert_closed();
                    });
                }
            }
        }
    });
}
