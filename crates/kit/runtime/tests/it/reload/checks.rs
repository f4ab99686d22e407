//! Readiness checks that come and go with the file.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use berth_testkit::eventually;

use super::{Mount, reloads};

#[test]
fn checks_come_and_go() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    // Nobody listens on a port that was free a moment ago.
    let nowhere = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let check = |name: &str, address, interval: &str| {
        format!(
            "[[readiness.checks]]\nname = \"{name}\"\nurl = \"tcp://{address}\"\n\
             interval = \"{interval}\"\ntimeout = \"100ms\"\n"
        )
    };
    let mount = Mount::new(&check("kept", there, "200ms"));
    let server = mount.serve(&[]);
    eventually("ready", || server.get("/ready").status == 200);
    let since = server.get("/ready/kept").json()["since"].clone();

    // A check that passes takes no readiness away, not even before it has passed for the first time.
    let done = Arc::new(AtomicBool::new(false));
    let never_unready = {
        let (done, addr) = (Arc::clone(&done), server.addr);
        thread::spawn(move || {
            let mut client = berth_testkit::Client::connect(addr);
            while !done.load(Ordering::Relaxed) {
                assert_eq!(client.get("/ready").status, 200);
            }
        })
    };
    mount.swap(&[check("kept", there, "200ms"), check("new", there, "10s")].concat());
    eventually("the new one passes", || {
        server.get("/ready/new").status == 200
    });
    // Other terms under the same name: what is known stays known.
    mount.swap(&[check("kept", there, "150ms"), check("new", there, "9s")].concat());
    eventually("the terms", || reloads(&server, "success") == 2);
    assert_eq!(server.get("/ready/kept").json()["since"], since);
    done.store(true, Ordering::Relaxed);
    never_unready.join().unwrap();

    mount.swap(
        &[
            check("kept", there, "150ms"),
            check("down", nowhere, "200ms"),
        ]
        .concat(),
    );
    eventually("not ready", || server.get("/ready").status == 503);
    assert_eq!(server.get("/ready/new").status, 404);
    let metrics = server.get("/metrics");
    assert!(
        metrics
            .text()
            .contains("berth_readiness_check{name=\"down\"} 0")
    );
    assert!(!metrics.text().contains("name=\"new\""));

    mount.swap("# none\n");
    eventually("ready without any", || server.get("/ready").status == 200);
    assert!(
        !server
            .get("/metrics")
            .text()
            .contains("berth_readiness_check")
    );
    server.stop();
}

#[test]
fn the_checks_of_a_refused_file_are_not_begun() {
    let mount = Mount::new("# none\n");
    let mut server = mount.serve(&[]);
    mount.swap("readiness.checks = [{ name = \"a\", url = \"gopher://a\" }]\n");
    server.wait_for_log("gopher");
    assert_eq!(server.get("/ready").status, 200);
    assert_eq!(server.get("/ready/a").status, 404);
    server.stop();
}
