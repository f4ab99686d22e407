//! What a team has said itself is kept; what it has not said becomes problem details.

use crate::fixture::Fixture;

#[test]
fn an_error_with_a_json_body_of_its_own_keeps_it() {
    let mut fixture = Fixture::start();
    let answer = fixture.0.get("/errors/json");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-own"), Some("yes"));
    assert_eq!(answer.text(), "{ \"code\": \"sold_out\",  \"left\": 3 }\n");
    let access = fixture.access(answer.request_id());
    assert_eq!(access["status"], 409);
    assert_eq!(access["route"], "/errors/json");
    assert_eq!(access["bytes"], answer.body.len());
}

#[test]
fn an_error_with_a_text_of_its_own_keeps_it() {
    let fixture = Fixture::start();
    let answer = fixture.0.get("/errors/text");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.header("x-own"), Some("yes"));
    assert_eq!(answer.text(), "Sorry, there is nothing left.\n");
}

#[test]
fn an_answer_with_a_body_is_kept() {
    let fixture = Fixture::start();
    let answer = fixture.0.get("/errors/answer");
    assert_eq!((answer.status, answer.text()), (409, "Sorry.\n"));
}

#[test]
fn an_error_without_a_body_of_its_own_becomes_problem_details() {
    let mut fixture = Fixture::start();
    let detail = fixture.0.get("/errors/client").assert_problem(410);
    assert_eq!(detail, "there is no teapot");
    let detail = fixture.0.get("/errors/actix").assert_problem(409);
    assert_eq!(detail, "somebody was faster");
    let empty = fixture.0.get("/errors/empty");
    assert_eq!(empty.assert_problem(409), "Conflict");
    assert_eq!(empty.header("retry-after"), Some("7"));

    // What is the server's own affair stands in the log only.
    let answer = fixture.0.get("/errors/server");
    let detail = answer.assert_problem(502);
    assert!(!detail.contains("1234"), "{detail}");
    let id = answer.request_id();
    assert_eq!(fixture.access(id)["status"], 502);
    let lines = fixture.lines_of(id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let message = lines[0]["msg"].as_str().unwrap();
    assert!(
        message.contains("the password of the teapot is 1234"),
        "{message}"
    );
    assert_eq!(lines[0]["route"], "/errors/server");
}
