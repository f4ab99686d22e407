//! What a reload changes of the next stop, and what of one that has begun.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::Mount;

#[test]
fn a_longer_timeout_holds_for_the_next_stop() {
    let mount = Mount::new("[shutdown]\ntimeout = \"1s\"\n");
    let mut server = mount.serve(&[]);
    mount.swap("[shutdown]\ntimeout = \"10s\"\n");
    server.wait_for_log("shutdown.timeout = \"10s\"");
    let mut client = server.client();
    client.send("GET /debug/delay/3s HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(client.read().status, 200);
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.log());
    // And no longer than the request needs.
    assert!(start.elapsed() < Duration::from_secs(7));
}

/// Asserts that a line with `words` is the last, also after what workers log of their end, and of the request that is
/// cut off by then.
#[track_caller]
fn assert_last_words(log: &[String], words: &str) {
    let last = log.last().unwrap();
    assert!(last.contains(words), "{log:#?}");
    let cut_off = log.iter().filter(|line| line.ends_with("| aborted"));
    assert_eq!(cut_off.count(), 1, "{log:#?}");
}

#[test]
fn a_shorter_timeout_holds_for_the_next_stop() {
    let mount = Mount::new("[shutdown]\ntimeout = \"15s\"\n");
    let mut server = mount.serve(&[]);
    mount.swap("[shutdown]\ntimeout = \"1s\"\ndrain_delay = \"500ms\"\n");
    server.wait_for_log("shutdown.drain_delay = \"500ms\"");
    let mut client = server.client();
    client.send("GET /debug/delay/20s HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(1400) && took < Duration::from_secs(8),
        "{took:?}"
    );
    let log = server.log();
    assert_last_words(
        &log,
        "1 request was cut off, because shutdown.timeout (1s) was over",
    );
}

#[test]
fn a_stop_goes_on_by_the_settings_it_began_with() {
    let mount = Mount::new("[shutdown]\ndrain_delay = \"2s\"\ntimeout = \"1s\"\n");
    let mut server = mount.serve(&[]);
    let mut client = server.client();
    client.send("GET /debug/delay/20s HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    server.wait_for_log("draining");
    mount.swap("[shutdown]\ntimeout = \"9s\"\n");
    assert_eq!(server.wait().code(), Some(1));
    let log = server.log();
    assert!(
        !log.iter().any(|line| line.contains("settings reloaded")),
        "{log:#?}"
    );
    assert_last_words(&log, "cut off, because shutdown.timeout (1s)");
}
