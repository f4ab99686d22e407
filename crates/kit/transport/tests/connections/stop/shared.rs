//! What one worker has opened, and another uses.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use berth_kit_transport::Options;

use crate::fixture::server::{Server, eventually};

/// Gives back the first byte of each connection.
fn dependency() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_ok() {
                    stream.write_all(&byte).unwrap();
                }
            });
        }
    });
    port
}

#[test]
fn it_lives_until_the_last_request_has_its_answer() {
    let mut server = Server::with(Options {
        workers: 2,
        ..Options::default()
    });
    // Each worker gets every other connection, so both have opened one.
    let opens = format!("/opens/{}", dependency());
    for _ in 0..2 {
        assert_eq!(server.connect().get(&opens).status, 200);
    }
    let mut client = server.connect();
    client.send("GET /uses-later HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it has begun", || server.begun() == 1);

    server.stop.drain();
    server.close();
    let seen = Arc::clone(&server.seen);
    thread::spawn(move || {
        // Longer than a worker takes to see that it has nothing to do.
        thread::sleep(Duration::from_millis(1500));
        seen.gate.store(true, Ordering::Relaxed);
    });
    server.finish();
    assert_eq!(client.read().text(), "x");
    assert_eq!(server.stop.lost(), 0);
}
