//! What never becomes a request, and who is told of it.

mod heads;
mod lengths;

use crate::fixture::{client::Client, server::Server};

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

/// A request with this length, and without a body.
fn length(value: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {value}\r\n\r\n")
}
