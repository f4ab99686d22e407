//! What is wrong with a request, or with its handler, is told alike, however the handler is mounted.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, GROUPS, TOKEN};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_panic_is_a_500_and_the_next_request_is_served() {
    let mut fixture = Fixture::start();
    for group in &GROUPS {
        let mut client = fixture.0.client();
        let answer = client.request("GET", &group.target("/panic"), group.headers);
        let detail = answer.assert_problem(500);
        assert!(!detail.contains("this handler"), "{detail}");
        // On the same connection.
        let next = client.request("GET", &group.target("/panic"), group.headers);
        next.assert_problem(500);
        for id in [answer.request_id(), next.request_id()] {
            let access = fixture.access(id);
            assert_eq!(access["status"], 500);
            assert_eq!(access["route"], group.route("/panic"));
        }
        let counted = fixture.counted("GET", &group.route("/panic"), 500);
        assert_eq!(counted, Some(2.0), "{group:?}");
    }
}

#[test]
fn a_handler_without_an_answer_in_time_is_a_503() {
    let mut fixture = Fixture::start();
    let start = Instant::now();
    let mut clients = GROUPS.map(|group| {
        let mut client = fixture.0.client();
        client.send_request("GET", &group.target("/slow"), group.headers, "");
        client
    });
    for (group, client) in GROUPS.iter().zip(&mut clients) {
        let answer = client.read();
        let detail = answer.assert_problem(503);
        assert!(detail.contains("within 1s"), "{detail}");
        let access = fixture.access(answer.request_id());
        assert_eq!(access["status"], 503);
        assert_eq!(access["route"], group.route("/slow"));
        assert_eq!(access["aborted"], false);
        let counted = fixture.counted("GET", &group.route("/slow"), 503);
        assert_eq!(counted, Some(1.0), "{group:?}");
    }
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_is_wrong_with_a_body_is_told_with_its_place() {
    let fixture = Fixture::start();
    for group in &GROUPS {
        let post = |headers: &str, body: &str| {
            let mut client = fixture.0.client();
            let headers = format!("{}{headers}", group.headers);
            client.send_request("POST", &group.target("/order"), &headers, body);
            client.read()
        };
        let good = r#"{"item":"nut","quantity":2}"#;
        let answer = post(JSON, good);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.text(), good);
        assert_eq!(
            answer.header("x-wrapped").is_some(),
            group.path == "/wrapped"
        );

        let detail = post(JSON, "{\"item\":\n oh").assert_problem(400);
        assert!(detail.contains("line 2 column "), "{detail}");
        post(JSON, "").assert_problem(400);

        for (body, pointer) in [
            (r#"{"item":"nut","quantity":"two"}"#, "/quantity"),
            (r#"{"item":"nut","quantity":0}"#, "/quantity"),
            (r#"{"item":"","quantity":1}"#, "/item"),
        ] {
            let answer = post(JSON, body);
            answer.assert_problem(422);
            assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
        }
        let both = post(JSON, r#"{"item":"","quantity":0}"#).json();
        assert_eq!(both["errors"].as_array().unwrap().len(), 2, "{both}");

        for headers in ["", "Content-Type: text/plain\r\n"] {
            let detail = post(headers, good).assert_problem(415);
            assert!(detail.contains("application/json"), "{detail}");
        }
    }
}

#[test]
fn actixs_own_json_extractor_tells_as_much() {
    let fixture = Fixture::start();
    let put = |headers: &str, body: &str| {
        let mut client = fixture.0.client();
        client.send_request("PUT", "/items/7", headers, body);
        client.read()
    };
    let good = r#"{"item":"nut","quantity":2}"#;
    assert_eq!(put(JSON, good).text(), good);
    let detail = put(JSON, "{\"item\":\n oh").assert_problem(400);
    assert!(detail.contains("line 2 column "), "{detail}");
    put("", good).assert_problem(415);
    put("Content-Type: text/plain\r\n", good).assert_problem(415);
    let detail = put(JSON, r#"{"item":"nut"}"#).assert_problem(422);
    assert!(detail.contains("quantity"), "{detail}");
    // Actix hands on no more than serde's own words, which say where, but not in which field.
    let detail = put(JSON, r#"{"item":"nut","quantity":"two"}"#).assert_problem(422);
    assert!(
        detail.contains("expected u32 at line 1 column "),
        "{detail}"
    );
}

#[test]
fn a_wrong_parameter_is_told_by_its_name() {
    let mut fixture = Fixture::start();
    assert_eq!(fixture.0.get("/items?limit=3").text(), "3");
    let detail = fixture.0.get("/items?limit=many").assert_problem(400);
    assert!(detail.contains("'limit'"), "{detail}");
    let detail = fixture.0.get("/items?offset=3").assert_problem(400);
    assert!(detail.contains("offset"), "{detail}");
    let answer = fixture.0.get("/items/seven");
    let detail = answer.assert_problem(404);
    assert!(detail.contains("seven"), "{detail}");
    assert_eq!(fixture.access(answer.request_id())["route"], "/items/{id}");
}

#[test]
fn another_method_is_a_405_that_lists_what_there_is() {
    let mut fixture = Fixture::start();
    let mut check = |method: &str, target: &str, route: &str, headers: &str, allowed: &[&str]| {
        let answer = fixture.0.client().request(method, target, headers);
        answer.assert_problem(405);
        let allow = answer.header("allow").unwrap();
        let mut methods: Vec<_> = allow.split(", ").collect();
        methods.sort_unstable();
        assert_eq!(methods, allowed, "{method} {target}");
        let access = fixture.access(answer.request_id());
        assert_eq!(access["status"], 405);
        assert_eq!(access["route"], route);
        assert_eq!(fixture.counted(method, route, 405), Some(1.0), "{target}");
    };
    for group in &GROUPS {
        for (rest, allowed) in [("/panic", &["GET", "HEAD"][..]), ("/order", &["POST"])] {
            let (target, route) = (group.target(rest), group.route(rest));
            check("DELETE", &target, &route, group.headers, allowed);
        }
    }
    let all = ["DELETE", "GET", "HEAD", "POST"];
    check("PATCH", "/items", "/items", "", &all);
    let all = ["DELETE", "GET", "HEAD", "PUT"];
    check("PATCH", "/items/7", "/items/{id}", "", &all);
    let all = ["DELETE", "GET", "HEAD"];
    check("PATCH", "/resource/7", "/resource/{id}", "", &all);
    check("PATCH", "/upload", "/upload", "", &["PUT"]);
    check("PATCH", "/large/collect", "/large/collect", "", &["PUT"]);
}

#[test]
fn head_is_answered_where_get_is() {
    let mut fixture = Fixture::start();
    let mut check =
        |target: &str, route: &str, headers: &str, status: u16, length: Option<&str>| {
            let mut client = fixture.0.client();
            let answer = client.request("HEAD", target, headers);
            assert_eq!(answer.status, status, "{target}");
            assert!(length.is_none() || answer.header("content-length") == length);
            // Its answer has no body: what comes next is the next answer.
            assert_eq!(client.request("GET", "/health", "").status, 200);
            let access = fixture.access(answer.request_id());
            assert_eq!(access["method"], "HEAD");
            assert_eq!(access["route"], route);
            assert_eq!(access["bytes"], 0);
            assert_eq!(access["aborted"], false);
            let counted = fixture.counted("HEAD", route, status);
            assert_eq!(counted, Some(1.0), "{target}");
        };
    for group in &GROUPS {
        for (rest, query, status) in [("/panic", "", 500), ("/log", "?tag=a", 204)] {
            let target = format!("{}{query}", group.target(rest));
            check(&target, &group.route(rest), group.headers, status, None);
        }
    }
    check("/items?limit=3", "/items", "", 200, Some("1"));
    check("/items/77", "/items/{id}", "", 200, Some("2"));
    check("/resource/777", "/resource/{id}", "", 200, Some("3"));
    check("/export", "/export", "", 200, None);
    for group in &GROUPS {
        let target = group.target("/order");
        let answer = fixture.0.client().request("HEAD", &target, group.headers);
        assert_eq!(answer.status, 405);
    }
}

#[test]
fn what_is_not_there_is_a_404() {
    let mut fixture = Fixture::start();
    for target in [
        "/",
        "/plain",
        "/plain/",
        "/wrapped/x",
        "/outer",
        "/items/7/x",
    ] {
        let answer = fixture.0.get(target);
        answer.assert_problem(404);
        assert_eq!(fixture.access(answer.request_id())["route"], "unmatched");
    }
    // Who may not ask is not told what there is.
    fixture.0.get("/private/x").assert_problem(401);
    let mut client = fixture.0.client();
    client
        .request("GET", "/private/x", TOKEN)
        .assert_problem(404);
    assert_eq!(fixture.counted("GET", "unmatched", 404), Some(7.0));
    assert_eq!(fixture.counted("GET", "unmatched", 401), Some(1.0));
}

#[test]
fn who_may_not_ask_is_a_401_under_the_right_route() {
    let mut fixture = Fixture::start();
    for (method, rest) in [("GET", "/panic"), ("GET", "/log"), ("POST", "/order")] {
        for headers in ["", "Authorization: Bearer guess\r\n"] {
            let target = format!("/private{rest}");
            let answer = fixture.0.client().request(method, &target, headers);
            assert_eq!(answer.assert_problem(401), "send a bearer token");
            let asked_for = answer.header("www-authenticate");
            assert_eq!(asked_for, Some("Bearer realm=\"fixture\""));
            let access = fixture.access(answer.request_id());
            assert_eq!(access["status"], 401);
            assert_eq!(access["route"], target);
        }
        let counted = fixture.counted(method, &format!("/private{rest}"), 401);
        assert_eq!(counted, Some(2.0));
    }
}
