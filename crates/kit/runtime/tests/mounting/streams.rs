//! Answers that last: the time limit ends when they begin.

use std::{
    thread,
    time::{Duration, Instant},
};

use berth_testkit::Client;

use crate::fixture::Fixture;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;

#[test]
fn an_export_may_take_longer_than_the_time_limit() {
    let mut fixture = Fixture::start();
    let start = Instant::now();
    let answer = fixture.0.get("/export");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "line 0\nline 1\nline 2\nline 3\n");
    assert!(start.elapsed() >= Duration::from_secs(2));
    let id = answer.request_id();
    let access = fixture.access(id);
    assert_eq!(access["route"], "/export");
    assert_eq!(access["bytes"], answer.body.len());
    assert_eq!(access["aborted"], false);
    // What is logged while it streams belongs to the request, too.
    let lines = fixture.lines_of(id);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line["route"] == "/export"));
}

#[test]
fn a_websocket_may_last_longer_than_the_time_limit() {
    let mut fixture = Fixture::start();
    let mut client = fixture.0.client();
    let answer = client.request(
        "GET",
        "/ws",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    assert_eq!(answer.status, 101, "{answer:?}");
    echoes(&mut client, "first");
    thread::sleep(Duration::from_millis(1500));
    echoes(&mut client, "second");
    client.send(frame(CLOSE, b""));
    let (opcode, _) = read_frame(&mut client);
    assert_eq!(opcode, CLOSE);
    drop(client);
    let id = answer.request_id();
    let access = fixture.access(id);
    assert_eq!(access["status"], 101);
    assert_eq!(access["route"], "/ws");
    let lines = fixture.lines_of(id);
    let messages: Vec<_> = lines.iter().map(|line| line["msg"].as_str()).collect();
    assert_eq!(messages, [Some("echoing first"), Some("echoing second")]);
    assert!(lines.iter().all(|line| line["route"] == "/ws"));
}

#[test]
fn what_is_no_websocket_is_told_so() {
    let fixture = Fixture::start();
    let answer = fixture.0.get("/ws");
    answer.assert_problem(400);
}

#[track_caller]
fn echoes(client: &mut Client, text: &str) {
    client.send(frame(TEXT, text.as_bytes()));
    assert_eq!(read_frame(client), (TEXT, text.as_bytes().to_vec()));
}

/// A client's frame, which is masked; of up to 125 bytes.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// The server's next frame: its opcode and payload.
fn read_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.read_raw(2);
    assert_eq!(head[0] & 0xf0, 0x80);
    assert!(head[1] <= 125);
    (head[0] & 0x0f, client.read_raw(head[1].into()))
}
