//! Where an answer ends, and whether the connection goes on after it.

use crate::fixture::{
    client::{Answer, Client},
    routes::pattern,
    server::{Server, eventually},
};

#[test]
fn an_answer_with_a_length_leaves_the_connection_open() {
    let server = Server::start();
    let mut client = server.connect();
    for size in [0, 1, 5, 16 * 1024, 1 << 20] {
        let answer = client.get(&format!("/sized/{size}"));
        assert_eq!(answer.version, "HTTP/1.1");
        assert_eq!(answer.header("content-length"), Some(&*size.to_string()));
        assert!(answer.header("date").unwrap().ends_with(" GMT"));
        answer.assert_closes(false);
        assert!(answer.body == pattern(size));
    }
    let answer = client.get("/sized-stream");
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.text(), "hello");
    client.assert_open();
}

#[test]
fn an_answer_without_a_length_comes_in_chunks() {
    let server = Server::start();
    let mut client = server.connect();
    for size in [0, 1, 16 * 1024 + 1, 1 << 20] {
        let answer = client.get(&format!("/streamed/{size}"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        answer.assert_closes(false);
        assert!(answer.body == pattern(size));
    }
    client.assert_open();
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let server = Server::start();
    let mut client = server.connect();
    let sizes = [3, 0, 70_000, 1];
    let requests = sizes.map(|size| format!("GET /sized/{size} HTTP/1.1\r\nHost: t\r\n\r\n"));
    client.send(requests.concat());
    for size in sizes {
        assert_eq!(client.read().body.len(), size);
    }
    client.assert_open();
}

#[test]
fn a_head_gets_the_head_of_the_answer_and_no_body() {
    let server = Server::start();
    let mut client = server.connect();
    let sized = client.request("HEAD", "/sized/5", "");
    assert_eq!(sized.header("content-length"), Some("5"));
    let empty = client.request("HEAD", "/sized/0", "");
    assert_eq!(empty.status, 200);
    let streamed = client.request("HEAD", "/streamed/5", "");
    assert_eq!(streamed.header("content-length"), None);
    let own = client.request("HEAD", "/own-length-empty", "");
    assert_eq!(own.header("content-length"), Some("1234"));
    let stream_with_length = client.request("HEAD", "/no-chunking/5", "");
    assert_eq!(stream_with_length.header("content-length"), Some("5"));
    for answer in [sized, empty, streamed, own, stream_with_length] {
        assert_eq!(answer.status, 200);
        answer.assert_closes(false);
    }
    client.assert_open();
}

#[test]
fn statuses_that_have_no_body_get_none() {
    let server = Server::start();
    let mut client = server.connect();
    for status in [204, 304] {
        for target in [format!("/empty/{status}"), format!("/with-body/{status}")] {
            let answer = client.get(&target);
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("transfer-encoding"), None);
            answer.assert_closes(false);
        }
    }
    assert_eq!(client.get("/empty/204").header("content-length"), None);
    client.assert_open();
}

#[test]
fn a_304_says_the_length_that_the_handler_gives_or_none() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/own-length");
    assert_eq!(answer.status, 304);
    let length = answer.header("content-length");
    assert!([None, Some("1234")].contains(&length), "{answer:?}");
    client.assert_open();
}

#[test]
fn an_empty_answer_has_the_length_of_its_body_and_not_another() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/own-length-empty");
    assert_eq!(answer.header("content-length"), Some("0"));
    client.assert_open();
}

#[test]
fn a_handlers_own_length_is_taken_for_a_stream() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/no-chunking/5");
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.text(), "hello");
    client.assert_open();
}

#[test]
fn a_stream_that_is_shorter_than_its_length_breaks_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /no-chunking/6 HTTP/1.1\r\nHost: t\r\n\r\n");
    // Of what has come there is no sixth byte, nor anything that could be taken for it.
    let rest = client.rest().unwrap_or_default();
    let body = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!("hello".starts_with(body), "{rest:?}");
    server.connect().assert_open();
}

#[test]
fn a_stream_that_is_longer_than_its_length_is_cut_there() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "GET /no-chunking/4 HTTP/1.1\r\nHost: t\r\n\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    assert_eq!(client.read().text(), "hell");
    // What follows is another answer or the end, and never the fifth byte.
    if let Ok(answer) = client.try_read(false) {
        assert_eq!(answer.text(), "hello");
    }
}

#[test]
fn a_stream_with_a_length_that_is_none_becomes_a_500() {
    let server = Server::start();
    for length in ["five", "+5", "", "5, 5", "99999999999999999999999"] {
        let mut client = server.connect();
        let answer = client.get(&format!("/stream-with-lengths?{}", length.replace(' ', "")));
        assert_eq!(answer.status, 500, "{length:?}: {answer:?}");
        answer.assert_closes(true);
        client.assert_closed();
    }
    let mut client = server.connect();
    assert_eq!(client.get("/stream-with-lengths?5&5").status, 500);
    let mut client = server.connect();
    assert_eq!(client.get("/stream-with-lengths?5").text(), "hello");
    client.assert_open();
}

#[test]
fn a_wrong_length_of_a_body_that_has_one_is_put_right() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/wrong-length");
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.text(), "hello");
    client.assert_open();
}

#[test]
fn a_handlers_own_transfer_encoding_is_left_out() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/own-coding");
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.text(), "hello");
    client.assert_open();
}

#[test]
fn all_headers_of_an_answer_arrive_in_their_order() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /many-headers HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut numbers = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(client.read_exact(1));
        }
        match line.strip_prefix(b"x-number: ") {
            Some(number) => numbers.push(String::from_utf8_lossy(number).trim().to_owned()),
            None if line.starts_with(b"x-last") => assert_eq!(line, b"x-last: caf\xe9\r\n"),
            None if line == b"\r\n" => break,
            None => {}
        }
    }
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
    client.assert_open();
}

#[test]
fn a_client_that_asks_for_the_end_gets_it_after_its_answer() {
    let server = Server::start();
    for value in ["close", "Close", "x, close", "close, x"] {
        for target in ["/hello", "/streamed/5"] {
            let mut client = server.connect();
            client.send(format!(
                "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: {value}\r\n\r\n\
                 GET /not-this HTTP/1.1\r\nHost: t\r\n\r\n"
            ));
            let answer = client.read();
            assert_eq!(answer.status, 200);
            answer.assert_closes(true);
            client.assert_closed();
        }
    }
    assert!(!server.requests().contains(&"GET /not-this".to_owned()));
}

#[test]
fn a_handler_can_close_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.get("/force-close");
    assert_eq!(answer.text(), "closing");
    answer.assert_closes(true);
    client.assert_closed();
}

/// Sends a request in HTTP/1.0 and reads its answer.
fn http_1_0(client: &mut Client, target: &str, headers: &str) -> Answer {
    client.send(format!("GET {target} HTTP/1.0\r\n{headers}\r\n"));
    let answer = client.read();
    assert_eq!(answer.status, 200);
    answer
}

#[test]
fn http_1_0_gets_its_answer_and_the_end() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = http_1_0(&mut client, "/hello", "");
    assert_eq!(answer.text(), "hello");
    assert_ne!(answer.header("connection"), Some("keep-alive"));
    client.assert_closed();
}

#[test]
fn http_1_0_may_ask_for_the_connection_to_be_kept() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..2 {
        let answer = http_1_0(&mut client, "/hello", "Connection: keep-alive\r\n");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "hello");
    }
    http_1_0(&mut client, "/hello", "");
    client.assert_closed();
}

#[test]
fn http_1_0_gets_a_stream_without_chunks_and_then_the_end() {
    let server = Server::start();
    for headers in ["", "Connection: keep-alive\r\n"] {
        let mut client = server.connect();
        let answer = http_1_0(&mut client, "/streamed/70000", headers);
        assert_ne!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(answer.header("content-length"), None);
        assert!(answer.body == pattern(70_000));
    }
}

#[test]
fn a_body_that_fails_breaks_the_connection_without_a_last_chunk() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /fails HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.head().unwrap();
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().unwrap().unwrap(), b"beginning");
    server.open_gate();
    let rest = client.rest().unwrap_or_default();
    assert_eq!(rest, "");
    server.connect().assert_open();
}

#[test]
fn a_handler_that_panics_ends_its_connection_and_no_other() {
    let server = Server::start();
    let mut other = server.connect_idle();
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("GET /panics HTTP/1.1\r\nHost: t\r\n\r\n");
        assert!(client.is_cut_off());
    }
    assert_eq!(server.ended(), 3);
    other.assert_open();
    server.connect().assert_open();
    drop(other);
    // It was the handler that lost them, and not a stop.
    eventually("no connection is open", || server.stop.open() == 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_status_that_is_no_answer_becomes_a_500_and_the_end() {
    let server = Server::start();
    for status in [100, 102, 103, 199] {
        let mut client = server.connect();
        let answer = client.get(&format!("/empty/{status}"));
        assert_eq!(answer.status, 500);
        answer.assert_closes(true);
        client.assert_closed();
    }
}

#[test]
fn a_connect_closes_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n\
         GET /not-this HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    let answer = client.read();
    assert_eq!(answer.status, 404);
    answer.assert_closes(true);
    client.assert_closed();
    assert!(!server.requests().contains(&"GET /not-this".to_owned()));
}

#[test]
fn a_target_in_full_is_that_targets_path() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.get("http://t/hello?a=b").text(), "hello");
    assert_eq!(server.requests(), ["GET http://t/hello?a=b"]);
    client.assert_open();
}
