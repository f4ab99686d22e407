//! The stop: nothing that was sent before it is lost, and what would be is counted.

mod drain;
mod in_flight;
mod lost;
mod queued;
mod shared;

use crate::fixture::{
    client::Client,
    server::{Server, eventually},
};

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";

/// Keeps the only worker busy until the gate opens.
fn block(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /blocks HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the worker is busy", || server.begun() == 1);
    client
}

/// Asserts that so much would be lost, now or once the kernel has delivered it.
#[track_caller]
fn assert_lost(server: &Server, lost: usize) {
    eventually("that much would be lost", || server.stop.lost() == lost);
}

#[track_caller]
fn assert_last_answer(mut client: Client, body: &str) {
    let answer = client.read();
    assert_eq!(answer.text(), body);
    answer.assert_closes(true);
    client.assert_closed();
}

/// Asserts that the last connections end, and that nothing was lost.
#[track_caller]
fn assert_nothing_is_lost(server: &Server) {
    eventually("no connection is open", || server.stop.open() == 0);
    assert_eq!(server.stop.in_flight(), 0);
    assert_eq!(server.stop.lost(), 0);
}
