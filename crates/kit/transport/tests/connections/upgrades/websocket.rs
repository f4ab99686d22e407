//! WebSocket, as actix-ws has it.

use std::{
    io::{ErrorKind, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use berth_kit_transport::Timeouts;

use crate::fixture::{
    client::Client,
    routes::pattern,
    server::{Server, eventually},
};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// More than the kernel and the server may hold of what nobody reads.
const MORE_THAN_WAITS: usize = 96 << 20;

const HANDSHAKE: &str = "Host: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client's frame, which is masked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Asks for WebSocket, with `frames` in the same write.
fn open(server: &Server, target: &str, frames: &[u8]) -> Client {
    let mut client = server.connect();
    let request = format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}");
    client.send([request.as_bytes(), frames].concat());
    let answer = client.read();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    let accept = answer.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding"), None);
    client
}

/// The next frame, which is whole and not masked: its opcode and payload.
fn read_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.read_exact(2);
    assert_eq!(head[0] & 0xf0, 0x80);
    let length = match head[1] {
        127 => u64::from_be_bytes(client.read_exact(8).try_into().unwrap()),
        126 => u16::from_be_bytes(client.read_exact(2).try_into().unwrap()).into(),
        length => u64::from(length),
    };
    let payload = client.read_exact(usize::try_from(length).unwrap());
    (head[0] & 0x0f, payload)
}

#[track_caller]
fn assert_echo(client: &mut Client, opcode: u8, payload: &[u8]) {
    client.send(frame(opcode, payload));
    let (echoed, echo) = read_frame(client);
    assert_eq!(echoed, opcode);
    assert!(
        echo == payload,
        "{} bytes became {}",
        payload.len(),
        echo.len()
    );
}

#[track_caller]
fn assert_closes(client: &mut Client) {
    assert_eq!(read_frame(client).0, CLOSE);
    client.assert_closed();
}

#[test]
fn a_websocket_echoes_text_and_binary_of_any_size() {
    let server = Server::start();
    let mut client = open(&server, "/websocket", b"");
    for size in [0, 1, 125, 126, 16 * 1024, 65_535, 65_536, 100_000, 1 << 20] {
        assert_echo(&mut client, TEXT, &pattern(size));
        assert_echo(&mut client, BINARY, &pattern(size).repeat(2));
    }
    client.send(frame(PING, b"ping"));
    assert_eq!(read_frame(&mut client), (PONG, b"ping".to_vec()));
    client.send(frame(CLOSE, b""));
    assert_closes(&mut client);
    eventually("the handler has ended", || server.ended() == 1);
    eventually("the connection has ended", || server.stop.open() == 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_websocket_gets_the_frames_that_came_with_the_handshake() {
    let server = Server::start();
    for size in [1, 100_000, 1 << 20] {
        let frames = [
            frame(TEXT, b"first"),
            frame(BINARY, &pattern(size)),
            frame(TEXT, b"third"),
        ];
        let mut client = open(&server, "/websocket", &frames.concat());
        assert_eq!(read_frame(&mut client), (TEXT, b"first".to_vec()));
        assert!(read_frame(&mut client) == (BINARY, pattern(size)));
        assert_eq!(read_frame(&mut client), (TEXT, b"third".to_vec()));
        assert_echo(&mut client, TEXT, b"fourth");
    }
}

#[test]
fn a_websocket_gets_frames_in_pieces() {
    let server = Server::start();
    let mut client = open(&server, "/websocket", b"");
    for byte in frame(TEXT, b"hello") {
        client.send([byte]);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(read_frame(&mut client), (TEXT, b"hello".to_vec()));
}

#[test]
fn many_messages_arrive_in_their_order() {
    let server = Server::start();
    let mut client = open(&server, "/websocket", b"");
    let numbers: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
    let frames: Vec<u8> = numbers
        .iter()
        .flat_map(|number| frame(TEXT, number.as_bytes()))
        .collect();
    let mut stream = client.stream().try_clone().unwrap();
    let sender = thread::spawn(move || stream.write_all(&frames).unwrap());
    for number in numbers {
        assert_eq!(read_frame(&mut client), (TEXT, number.into_bytes()));
    }
    sender.join().unwrap();
}

#[test]
fn a_websocket_echoes_longer_than_the_timeouts_of_requests() {
    let limit = Duration::from_millis(200);
    let server = Server::with_timeouts(Timeouts {
        head: limit,
        keep_alive: Some(limit),
        unread: Arc::new(move || limit),
        ..Timeouts::default()
    });
    let mut client = open(&server, "/websocket", b"");
    for _ in 0..4 {
        thread::sleep(limit * 2);
        assert_echo(&mut client, TEXT, b"still here");
        assert_eq!(server.stop.in_flight(), 1);
    }
}

#[test]
fn an_idle_websocket_is_closed() {
    let limit = Duration::from_millis(300);
    let server = Server::with_timeouts(Timeouts {
        upgraded: limit,
        ..Timeouts::default()
    });
    let mut client = open(&server, "/websocket", b"");
    let start = Instant::now();
    assert_echo(&mut client, TEXT, b"here");
    assert!(client.is_cut_off());
    assert!(start.elapsed() >= limit);
    eventually("the handler has ended", || server.ended() == 1);
    eventually("the connection has ended", || server.stop.open() == 0);
}

#[test]
fn a_client_that_leaves_ends_the_handler() {
    let server = Server::start();
    let client = open(&server, "/websocket", b"");
    drop(client);
    eventually("the handler has ended", || server.ended() == 1);
    let client = open(&server, "/websocket", b"");
    client.reset();
    eventually("the handler has ended", || server.ended() == 2);
    let mut client = open(&server, "/websocket", b"");
    client.finish_sending();
    assert_closes(&mut client);
    eventually("the connections have ended", || server.stop.open() == 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_handler_that_ends_closes_the_connection() {
    let server = Server::start();
    let mut client = open(&server, "/websocket-ends", b"");
    client.send(frame(TEXT, b"hello"));
    assert_eq!(read_frame(&mut client), (TEXT, b"bye".to_vec()));
    assert_closes(&mut client);
    eventually("the connection has ended", || server.stop.open() == 0);
}

/// Sends as much as the server takes. Whether there was an end to it.
fn flood(client: &Client) -> usize {
    let mut stream = client.stream();
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let piece = frame(BINARY, &pattern(1 << 20));
    let mut sent = 0;
    while sent < MORE_THAN_WAITS {
        match stream.write(&piece[sent % piece.len()..]) {
            Ok(size) => sent += size,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn a_client_that_floods_a_handler_is_stopped() {
    let server = Server::start();
    let client = open(&server, "/websocket-unread", b"");
    let sent = flood(&client);
    assert!(sent < MORE_THAN_WAITS);
    // It goes on once the handler reads.
    server.open_gate();
    eventually("the messages are read", || {
        server.counted() == sent / ((1 << 20) + 14)
    });
    drop(client);
    eventually("the handler has ended", || server.ended() == 1);
}

#[test]
fn what_a_client_sends_to_a_handler_that_has_no_use_for_it_is_thrown_away() {
    let server = Server::start();
    let mut client = open(&server, "/websocket-deaf", b"");
    let piece = frame(BINARY, &pattern(1 << 20));
    for _ in 0..MORE_THAN_WAITS >> 20 {
        client.send(&piece);
    }
    server.open_gate();
    assert_eq!(read_frame(&mut client), (TEXT, b"heard nothing".to_vec()));
    assert_closes(&mut client);
}

#[test]
fn a_client_that_does_not_read_stops_the_handler_and_is_cut_off() {
    let server = Server::with_timeouts(Timeouts {
        upgraded: Duration::from_secs(1),
        ..Timeouts::default()
    });
    let client = open(&server, "/websocket-floods", b"");
    eventually("the handler has ended", || server.ended() == 1);
    assert!(server.counted() < MORE_THAN_WAITS);
    eventually("the connection has ended", || server.stop.open() == 0);
    drop(client);
}

#[test]
fn a_client_that_neither_reads_nor_stops_is_held_back() {
    let server = Server::start();
    let client = open(&server, "/websocket", b"");
    assert!(flood(&client) < MORE_THAN_WAITS);
    client.reset();
    eventually("the handler has ended", || server.ended() == 1);
}

#[test]
fn a_websocket_is_told_of_the_stop_and_goes_on_meanwhile() {
    let mut server = Server::start();
    let mut client = open(&server, "/websocket", b"");
    let mut other = open(&server, "/websocket", &frame(TEXT, b"early"));
    assert_echo(&mut client, TEXT, b"before");
    assert_eq!(read_frame(&mut other), (TEXT, b"early".to_vec()));
    assert_eq!(server.stop.in_flight(), 2);
    server.stop.drain();
    for client in [&mut client, &mut other] {
        assert_eq!(read_frame(client), (TEXT, b"stopping".to_vec()));
        assert_echo(client, TEXT, b"still here");
    }
    server.close();
    assert_echo(&mut client, BINARY, &pattern(1 << 20));
    assert_eq!(server.stop.in_flight(), 2);
    assert_eq!(server.stop.lost(), 2);
    other.send(frame(CLOSE, b""));
    assert_closes(&mut other);
    eventually("one has ended", || server.stop.lost() == 1);
    let closing = thread::spawn(move || {
        server.finish();
        server
    });
    assert_echo(&mut client, TEXT, b"while the server stops");
    client.send(frame(CLOSE, b""));
    assert_closes(&mut client);
    let server = closing.join().unwrap();
    assert_eq!(server.stop.in_flight(), 0);
    assert_eq!(server.stop.lost(), 0);
}

#[test]
fn a_websocket_that_is_open_when_the_server_ends_was_lost() {
    let server = Server::start();
    let mut client = open(&server, "/websocket", b"");
    assert_echo(&mut client, TEXT, b"hello");
    let stop = Arc::clone(&server.stop);
    drop(server);
    assert_eq!(stop.lost(), 1);
    assert!(client.is_cut_off());
}

#[test]
fn a_handshake_during_the_stop_is_still_taken() {
    let server = Server::start();
    server.stop.drain();
    let mut client = open(&server, "/websocket", b"");
    assert_eq!(read_frame(&mut client), (TEXT, b"stopping".to_vec()));
    assert_echo(&mut client, TEXT, b"hello");
}
