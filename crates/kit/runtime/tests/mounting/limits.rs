//! Limits of the settings hold for every route but those that have their own, however either is mounted.

use std::{thread, time::Duration};

use berth_testkit::Client;

use crate::fixture::{Fixture, GROUPS, MAX_BODY, TOKEN};

/// Longer than the time limit of the settings.
const PAST_THE_LIMIT: Duration = Duration::from_millis(1500);

/// With limits of their own: a macro, a scope, a resource.
const UPLOADS: [&str; 3] = ["/upload", "/large/collect", "/resource/7/upload"];

fn begin(fixture: &Fixture, method: &str, target: &str, headers: &str, length: usize) -> Client {
    let mut client = fixture.0.client();
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n"
    ));
    client
}

#[track_caller]
fn takes_large_ones(fixture: &Fixture, target: &str, headers: &str) {
    let length = 100 * MAX_BODY;
    let mut client = begin(fixture, "PUT", target, headers, length);
    client.send("x".repeat(length));
    let answer = client.read();
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(answer.text(), length.to_string());

    let mut client = fixture.0.client();
    let body = "x".repeat(2 * MAX_BODY);
    client.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: t\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    ));
    let answer = client.read();
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(answer.text(), body.len().to_string());

    // It has a limit all the same.
    let mut client = begin(fixture, "PUT", target, headers, (1 << 20) + 1);
    let detail = client.read().assert_problem(413);
    assert!(detail.contains("1048576"), "{target}: {detail}");
}

#[track_caller]
fn takes_slow_ones(fixture: &Fixture, targets: &[&str], headers: &str) {
    let open = |target: &&str| {
        let mut client = begin(fixture, "PUT", target, headers, 20);
        client.send("x".repeat(10));
        client
    };
    let mut clients: Vec<_> = targets.iter().map(open).collect();
    thread::sleep(PAST_THE_LIMIT);
    for (target, client) in targets.iter().zip(&mut clients) {
        client.send("x".repeat(10));
        let answer = client.read();
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.text(), "20");
    }
}

#[test]
fn a_route_with_limits_of_its_own_takes_a_large_body() {
    let fixture = Fixture::start();
    for target in UPLOADS {
        takes_large_ones(&fixture, target, "");
    }
}

#[test]
fn a_route_with_limits_of_its_own_takes_a_slow_body() {
    takes_slow_ones(&Fixture::start(), &UPLOADS, "");
}

#[test]
fn a_route_behind_middleware_takes_a_large_body() {
    takes_large_ones(&Fixture::start(), "/private/upload", TOKEN);
}

#[test]
fn a_route_behind_middleware_takes_a_slow_body() {
    takes_slow_ones(&Fixture::start(), &["/private/upload"], TOKEN);
}

#[test]
fn every_other_route_refuses_a_large_body() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let (target, route) = (group.target("/order"), group.route("/order"));
        // Refused on its announcement alone.
        let mut client = begin(&fixture, "POST", &target, group.headers, MAX_BODY + 1);
        let announced = client.read();
        let mut client = fixture.0.client();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: t\r\n{}Content-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            group.headers,
            MAX_BODY + 1,
            "x".repeat(MAX_BODY + 1),
        ));
        let found_out = client.read();
        for answer in [announced, found_out] {
            let detail = answer.assert_problem(413);
            assert!(detail.contains("1000 bytes"), "{detail}");
            assert_eq!(fixture.access(answer.request_id())["route"], route);
        }
        assert_eq!(fixture.counted("POST", &route, 413), Some(2.0));
    }
}

#[test]
fn every_other_route_refuses_a_slow_body() {
    let mut fixture = Fixture::start();
    let mut clients = GROUPS.map(|group| {
        let headers = format!("{}Content-Type: application/json\r\n", group.headers);
        let mut client = begin(&fixture, "POST", &group.target("/order"), &headers, 20);
        client.send("{");
        client
    });
    for (group, client) in GROUPS.iter().zip(&mut clients) {
        let answer = client.read();
        answer.assert_problem(408);
        let route = group.route("/order");
        assert_eq!(fixture.access(answer.request_id())["route"], route);
        assert_eq!(fixture.counted("POST", &route, 408), Some(1.0));
    }
}

#[test]
fn a_route_that_is_never_shed_answers_whatever_else_there_is_to_do() {
    let fixture = Fixture::start_with(&[("BERTH__SERVER__MAX_IN_FLIGHT", "1")]);
    let mut busy = fixture.0.client();
    busy.send("GET /plain/slow HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut client = fixture.0.client();
    // Until the one is there.
    while client.get("/items").status == 200 {}
    let detail = client.get("/items").assert_problem(503);
    assert!(detail.contains("as many requests"), "{detail}");
    assert_eq!(client.get("/items/7").status, 200);
    assert_eq!(busy.read().status, 503);
    assert_eq!(client.get("/items").status, 200);
}
