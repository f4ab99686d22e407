//! Requests that ask for another protocol, whether or not they get it.

use std::{thread, time::Duration};

use berth_kit_transport::Timeouts;

use crate::fixture::{
    client::Client,
    server::{Server, eventually},
};

/// Asks for the protocol `uppercase`, with `more` in the same write.
fn uppercase(server: &Server, more: &str) -> Client {
    let mut client = server.connect();
    client.send(format!(
        "GET /uppercase HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: uppercase\r\n\r\n{more}"
    ));
    let answer = client.read();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("upgrade"), Some("uppercase"));
    assert_eq!(answer.header("x-more"), Some("there"));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding"), None);
    client
}

#[test]
fn bytes_of_any_protocol_go_both_ways() {
    let server = Server::start();
    let mut client = uppercase(&server, "");
    for text in ["a", "hello", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(text);
        assert_eq!(
            client.read_exact(text.len()),
            text.to_ascii_uppercase().as_bytes()
        );
    }
    client.send("\0");
    client.assert_closed();
    eventually("the connection has ended", || server.stop.open() == 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn bytes_that_come_along_with_the_request_are_the_other_protocols() {
    let server = Server::start();
    for more in [
        "hello",
        "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "\r\n\r\n",
    ] {
        let mut client = uppercase(&server, more);
        assert_eq!(
            client.read_exact(more.len()),
            more.to_ascii_uppercase().as_bytes()
        );
        client.send("abc");
        assert_eq!(client.read_exact(3), b"ABC");
    }
    let more = "x".repeat(100_000);
    let mut client = uppercase(&server, &more);
    assert_eq!(
        client.read_exact(100_000),
        more.to_ascii_uppercase().as_bytes()
    );
}

#[test]
fn a_request_behind_others_may_ask_for_another_protocol() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello\
         GET /hello HTTP/1.1\r\nHost: t\r\n\r\n\
         GET /uppercase HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nabc",
    );
    assert_eq!(client.read().text(), "hello");
    assert_eq!(client.read().text(), "hello");
    assert_eq!(client.read().status, 101);
    assert_eq!(client.read_exact(3), b"ABC");
}

#[test]
fn a_client_that_ends_its_half_is_sent_the_rest() {
    let server = Server::start();
    let mut client = uppercase(&server, "abc");
    client.finish_sending();
    assert_eq!(client.rest().unwrap(), "ABC");
    eventually("the connection has ended", || server.stop.open() == 0);
}

#[test]
fn a_client_that_breaks_another_protocol_ends_it() {
    let server = Server::start();
    let client = uppercase(&server, "");
    client.reset();
    eventually("the connection has ended", || server.stop.open() == 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn another_protocol_whose_output_fails_is_broken_off() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.request(
        "GET",
        "/upgrade-fails",
        "Connection: upgrade\r\nUpgrade: fails\r\n",
    );
    assert_eq!(answer.status, 101);
    assert_eq!(client.read_exact(9), b"beginning");
    client.send("x");
    assert!(client.is_cut_off());
    eventually("the connection has ended", || server.stop.open() == 0);
}

#[test]
fn a_payload_that_was_read_before_the_answer_is_what_comes_after_it() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.request(
        "GET",
        "/reads-before-switching",
        "Connection: upgrade\r\nUpgrade: late\r\n",
    );
    assert_eq!(answer.status, 101);
    client.send("abc");
    assert_eq!(client.read_exact(3), b"abc");
    client.assert_closed();
}

#[test]
fn an_upgrade_that_is_not_taken_is_an_ordinary_request() {
    let server = Server::start();
    let mut client = server.connect();
    for protocol in ["websocket", "h2c", "x, y"] {
        for method in ["GET", "POST", "DELETE"] {
            for target in ["/echo", "/length", "/hello", "/streamed/70000", "/nowhere"] {
                let headers = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
                let answer = client.request(method, target, &headers);
                answer.assert_closes(false);
                match target {
                    "/echo" => assert_eq!(answer.text(), ""),
                    "/length" => assert_eq!(answer.text(), "0"),
                    "/hello" => assert_eq!(answer.text(), "hello"),
                    "/nowhere" => assert_eq!(answer.status, 404),
                    _ => assert_eq!(answer.body.len(), 70_000),
                }
            }
        }
    }
    // So are the ones behind it.
    let request = "GET /echo HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    client.send(request.repeat(3) + "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    for body in ["", "", "", "hello"] {
        assert_eq!(client.read().text(), body);
    }
    client.assert_open();
}

#[test]
fn a_head_request_that_asks_for_an_upgrade_gets_a_head() {
    let server = Server::start();
    let mut client = server.connect();
    let answer = client.request(
        "HEAD",
        "/hello",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    );
    assert_eq!(answer.header("content-length"), Some("5"));
    client.assert_open();
}

#[test]
fn a_request_with_a_body_gets_that_and_no_other_protocol() {
    let server = Server::start();
    let mut client = server.connect();
    for framing in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{framing}\
             GET /echo HTTP/1.1\r\nHost: t\r\n\r\n"
        ));
        assert_eq!(client.read().text(), "hello");
        assert_eq!(client.read().text(), "");
    }
    client.assert_open();

    client.send(
        "POST /uppercase HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let answer = client.read();
    assert_eq!(answer.status, 500);
    answer.assert_closes(true);
    client.assert_closed();
}

#[test]
fn a_protocol_that_nobody_asked_for_becomes_a_500() {
    let server = Server::start();
    for headers in [
        "",
        "Upgrade: unasked\r\n",
        "Connection: upgrade\r\n",
        "Connection: keep-alive\r\nUpgrade: unasked\r\n",
        "Connection: upgraded\r\nUpgrade: unasked\r\n",
    ] {
        let mut client = server.connect();
        let answer = client.request("GET", "/switches-unasked", headers);
        assert_eq!(answer.status, 500, "{headers:?}");
        assert_eq!(answer.header("upgrade"), None);
        answer.assert_closes(true);
        client.assert_closed();
    }
}

#[test]
fn http_1_0_cannot_ask_for_another_protocol() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "GET /switches-unasked HTTP/1.0\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: unasked\r\n\r\n",
    );
    assert_eq!(client.read().status, 500);
    client.assert_closed();
    let mut client = server.connect();
    client.send("GET /echo HTTP/1.0\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(client.read().status, 200);
    client.assert_closed();
}

#[test]
fn an_upgraded_connection_is_idle_for_as_long_as_it_may_be() {
    let limit = Duration::from_secs(1);
    let server = Server::with_timeouts(Timeouts {
        head: limit / 5,
        keep_alive: Some(limit / 5),
        upgraded: limit,
        ..Timeouts::default()
    });
    let mut client = uppercase(&server, "");
    for _ in 0..5 {
        thread::sleep(limit / 4);
        client.send("abc");
        assert_eq!(client.read_exact(3), b"ABC");
    }
    assert!(client.is_cut_off());
    eventually("the connection has ended", || server.stop.open() == 0);
}
