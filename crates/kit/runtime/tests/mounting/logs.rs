//! Every line that a request causes carries its id and its route, and never those of another.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::fixture::{Fixture, GROUPS, Group};

/// What a request for `/log` says, in any order.
const SAYS: [&str; 4] = ["before", "child", "after", "thread"];

fn target(group: &Group, tag: &str, meets: bool) -> String {
    group.target(&format!("/log?tag={tag}&meets={meets}"))
}

/// The messages of these lines that end with `tag`.
fn said(lines: &[Value], tag: &str) -> Vec<String> {
    let messages = lines.iter().map(|line| line["msg"].as_str().unwrap());
    let mut said: Vec<_> = messages
        .filter_map(|message| message.strip_suffix(tag)?.strip_suffix(' '))
        .map(str::to_owned)
        .collect();
    said.sort_unstable();
    said
}

fn sorted() -> Vec<&'static str> {
    let mut says = SAYS.to_vec();
    says.sort_unstable();
    says
}

#[test]
fn a_handlers_lines_carry_its_request() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let target = target(group, "alone", false);
        let answer = fixture.0.client().request("GET", &target, group.headers);
        assert_eq!(answer.status, 204, "{answer:?}");
        let id = answer.request_id();
        let route = group.route("/log");

        let access = fixture.access(id);
        assert_eq!(access["route"], route);
        assert_eq!(access["status"], 204);
        assert_eq!(access["aborted"], false);

        let lines = fixture.lines_of(id);
        assert_eq!(said(&lines, "alone"), sorted(), "{group:?}");
        assert!(lines.iter().all(|line| line["route"] == route), "{lines:?}");
        let middleware = lines.iter().filter(|line| {
            let message = line["msg"].as_str().unwrap();
            message.starts_with("middleware ")
        });
        let expected = if group.path == "/wrapped" { 2 } else { 0 };
        assert_eq!(middleware.count(), expected, "{lines:?}");
    }
    // What is spawned without a word belongs to no request.
    let lines = fixture.lines();
    let strangers: Vec<_> = lines
        .iter()
        .filter(|line| line["msg"] == "stranger alone")
        .collect();
    assert_eq!(strangers.len(), GROUPS.len());
    assert!(strangers.iter().all(|line| line["request_id"].is_null()));
}

#[test]
fn two_requests_at_one_time_are_never_taken_for_each_other() {
    // The fixture has one worker, so both are handled by one thread.
    let mut fixture = Fixture::start();
    for (first, second) in GROUPS.iter().zip(GROUPS.iter().cycle().skip(1)) {
        let mut clients = [fixture.0.client(), fixture.0.client()];
        let pairs = [(first, "one"), (second, "two")];
        for ((group, tag), client) in pairs.iter().zip(&mut clients) {
            client.send_request("GET", &target(group, tag, true), group.headers, "");
        }
        let answers = clients.map(|mut client| client.read());
        for ((group, tag), answer) in pairs.iter().zip(&answers) {
            assert_eq!(answer.status, 204, "{answer:?}");
            let id = answer.request_id();
            assert_eq!(fixture.access(id)["route"], group.route("/log"));
            let lines = fixture.lines_of(id);
            assert_eq!(said(&lines, tag), sorted(), "{lines:?}");
            let other = if *tag == "one" { "two" } else { "one" };
            assert!(said(&lines, other).is_empty(), "{lines:?}");
            let route = group.route("/log");
            assert!(lines.iter().all(|line| line["route"] == route), "{lines:?}");
        }
        assert_ne!(answers[0].request_id(), answers[1].request_id());
    }
}

#[test]
fn a_panics_line_carries_its_request() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let target = group.target("/panic");
        let answer = fixture.0.client().request("GET", &target, group.headers);
        let id = answer.request_id();
        assert_eq!(fixture.access(id)["status"], 500);
        let mut lines = fixture.lines_of(id);
        lines.retain(|line| line["target"] == "panic");
        assert_eq!(lines.len(), 1, "{group:?}: {lines:?}");
        let message = lines[0]["msg"].as_str().unwrap();
        assert!(message.ends_with("this handler panics"), "{message}");
        assert_eq!(lines[0]["route"], group.route("/panic"));
    }
}

#[test]
fn the_clients_id_is_taken_over() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let id = format!("from-the-client{}", group.path.replace('/', "-"));
        let headers = format!("{}X-Request-Id: {id}\r\n", group.headers);
        let target = target(group, "theirs", false);
        let answer = fixture.0.client().request("GET", &target, &headers);
        assert_eq!(answer.request_id(), id);
        assert_eq!(fixture.access(&id)["status"], 204);
        assert_eq!(said(&fixture.lines_of(&id), "theirs"), sorted());
    }
}

#[test]
fn a_client_that_leaves_is_logged_and_counted_under_its_route() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let id = format!("left{}", group.path.replace('/', "-"));
        let headers = format!("{}X-Request-Id: {id}\r\n", group.headers);
        let mut client = fixture.0.client();
        client.send_request("GET", &group.target("/slow"), &headers, "");
        // The handler has begun, and is far from its time limit.
        thread::sleep(Duration::from_millis(100));
        client.leave();
        let access = fixture.access(&id);
        assert_eq!(access["status"], 499);
        assert_eq!(access["aborted"], true);
        assert_eq!(access["route"], group.route("/slow"));
        let counted = fixture.counted("GET", &group.route("/slow"), 499);
        assert_eq!(counted, Some(1.0), "{group:?}");
    }
    // One that has been answered in part keeps its status.
    let mut client = fixture.0.client();
    client.send_request("GET", "/export", "X-Request-Id: left-export\r\n", "");
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    client.leave();
    let access = fixture.access("left-export");
    assert_eq!(access["status"], 200);
    assert_eq!(access["aborted"], true);
    assert_eq!(access["route"], "/export");
}
