//! The drain, the listener that is closed after it, and who is told of the stop.

use std::{io::ErrorKind, net::TcpStream, thread, time::Duration};

use berth_kit_transport::Options;

use crate::fixture::{
    client::Client,
    server::{Server, block_on, eventually},
};

use super::{HELLO, assert_last_answer, assert_nothing_is_lost};

#[test]
fn a_server_without_connections_stops() {
    let mut server = Server::start();
    server.stop.drain();
    server.close();
    server.finish();
    assert_nothing_is_lost(&server);
}

#[test]
fn from_the_drain_on_each_answer_is_the_last_on_its_connection() {
    let server = Server::start();
    let mut idle = server.connect_idle();
    server.stop.drain();
    // New connections are still accepted.
    for target in ["/hello", "/streamed/100000", "/empty/204", "/nowhere"] {
        let mut client = server.connect();
        client.get(target).assert_closes(true);
        client.assert_closed();
    }
    idle.send(HELLO);
    assert_last_answer(idle, "hello");
    let mut old = server.connect();
    old.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = old.read();
    assert_eq!(answer.text(), "hello");
    assert_ne!(answer.header("connection"), Some("keep-alive"));
    old.assert_closed();
    server.close();
    assert_nothing_is_lost(&server);
}

#[test]
fn a_closed_listener_takes_no_connection() {
    let mut server = Server::start();
    server.stop.drain();
    server.close();
    let attempt = TcpStream::connect_timeout(&server.address, Duration::from_millis(300));
    let error = attempt.unwrap_err().kind();
    assert!(
        [ErrorKind::TimedOut, ErrorKind::ConnectionRefused].contains(&error),
        "{error}"
    );
    server.finish();
    let error = TcpStream::connect(server.address).unwrap_err().kind();
    assert_eq!(error, ErrorKind::ConnectionRefused);
}

#[test]
fn connections_that_are_made_during_the_stop_are_answered_or_refused() {
    let server = Server::with(Options {
        workers: 2,
        ..Options::default()
    });
    let address = server.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut answered = 0;
                loop {
                    let timeout = Duration::from_millis(500);
                    let Ok(stream) = TcpStream::connect_timeout(&address, timeout) else {
                        return answered;
                    };
                    let mut client = Client::from(stream);
                    client.send(HELLO);
                    assert_eq!(client.read().text(), "hello");
                    answered += 1;
                }
            })
        })
        .collect();
    eventually("there is some load", || server.requests().len() > 50);
    server.stop.drain();
    server.close();
    let answered: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert_eq!(server.requests().len(), answered);
    assert_nothing_is_lost(&server);
}

#[test]
fn a_token_tells_of_the_stop_from_its_first_moment_on() {
    let server = Server::start();
    let token = server.stop.token();
    assert!(!token.is_requested());
    let waiting = token.clone();
    let waiter = thread::spawn(move || block_on(waiting.requested()));
    thread::sleep(Duration::from_millis(50));
    assert!(!waiter.is_finished());
    server.stop.drain();
    waiter.join().unwrap();
    assert!(token.is_requested());
    block_on(token.requested());
}
