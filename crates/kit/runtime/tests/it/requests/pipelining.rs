//! Pipelined requests: what comes behind another request, and the head that is cut there.

use std::{thread, time::Duration};

use crate::process::Berth;

use super::MOMENT;

#[test]
fn what_a_client_sends_ahead_is_not_lost_in_a_pause() {
    let server = Berth::start(&[]);
    let mut client = server.client();
    client.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\nGET /hea");
    assert_eq!(client.read().status, 200);
    thread::sleep(MOMENT);
    client.send("dy HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read().status, 404);
}

/// A pipelined request begins once the one ahead of it has been answered.
#[test]
fn what_waits_for_its_turn_is_not_lost_in_a_pause() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    let first = "GET /debug/delay/200ms HTTP/1.1\r\nHost: t\r\n\r\n";
    let other = "GET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n";
    client.send(format!("{first}{}", other.repeat(16)));
    thread::sleep(Duration::from_millis(50));
    client.send(other);
    assert_eq!(client.read().status, 200);
    for _ in 0..17 {
        assert_eq!(client.read().status, 418);
    }
    thread::sleep(MOMENT);
    assert_eq!(client.get("/health").status, 200);
}

#[test]
fn half_a_head_after_an_answer_is_kept_until_the_rest_comes() {
    let server = Berth::debug(&[]);
    let mut client = server.client();
    assert_eq!(client.get("/health").status, 200);
    for (half, rest, status) in [
        ("GET /debug/status/418 HT", "TP/1.1\r\nHost: t\r\n\r\n", 418),
        // All at once but for the last byte, and an empty line before it.
        (
            "\r\nGET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r",
            "\n",
            418,
        ),
        // What comes with the rest is another request, or a body.
        (
            "GET /health HT",
            "TP/1.1\r\nHost: t\r\n\r\nGET /debug/status/418 HTTP/1.1\r\nHost: t\r\n\r\n",
            418,
        ),
        (
            "POST /debug/echo HT",
            "TP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody",
            200,
        ),
        ("GET /debug/status/418 HT", "TP/1.1\r\nHost: t\r\n\r\n", 418),
    ] {
        for pause in [Duration::from_millis(10), MOMENT] {
            client.send(half);
            thread::sleep(pause);
            client.send(rest);
            if rest.contains("GET") {
                assert_eq!(client.read().status, 200, "{half:?}, {pause:?}");
            }
            assert_eq!(client.read().status, status, "{half:?}, {pause:?}");
        }
    }
    // While the client has not taken all of its answer.
    client.send("GET /debug/bytes/8000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(MOMENT);
    client.send("GET /debug/status/418 HT");
    thread::sleep(MOMENT);
    assert_eq!(client.read().body.len(), 8_000_000);
    client.send("TP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read().status, 418);
}
