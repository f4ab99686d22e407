//! What is mounted is documented, and counted from the start.

use std::collections::HashMap;

use serde_json::Value;

use crate::fixture::{Fixture, mounted};

#[test]
fn every_route_has_its_series_before_its_first_request() {
    let fixture = Fixture::start();
    let exposition = fixture.0.get("/metrics");
    let has = |series: &str| exposition.text().lines().any(|line| line == series);
    for (method, endpoint) in mounted() {
        let methods = if method == "GET" {
            &["GET", "HEAD"][..]
        } else {
            &[method]
        };
        for method in methods {
            let labels = format!("endpoint=\"{endpoint}\",method=\"{method}\"");
            for status in [200, 500, 503] {
                let series = format!("api_requests_total{{{labels},status=\"{status}\"}} 0");
                assert!(has(&series), "{series}");
            }
            let series = format!("api_request_duration_seconds_count{{{labels}}} 0");
            assert!(has(&series), "{series}");
        }
    }
    // What is not there has none.
    assert!(!exposition.text().contains("endpoint=\"/plain\""));
    assert!(!exposition.text().contains("endpoint=\"/items/7"));
}

#[test]
fn every_route_is_documented() {
    let mut fixture = Fixture::start();
    let line = fixture.0.wait_for_log("undocumented: ");
    assert!(line.contains("undocumented: []"), "{line}");
    let document = fixture.0.get("/openapi.json").json();
    for (method, path) in mounted() {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        assert!(operation.is_object(), "{method} {path}");
        let problem = &operation["responses"]["default"]["$ref"];
        assert_eq!(problem, "#/components/responses/Problem", "{method} {path}");
    }
    let order = &document["components"]["schemas"]["Order"]["properties"];
    assert_eq!(order["quantity"]["maximum"], 100);
    let id = &document["paths"]["/items/{id}"]["get"]["parameters"][0];
    assert_eq!(id["name"], "id");
    assert_eq!(id["in"], "path");
}

/// OpenAPI has it so, and programs that write clients stumble over anything else.
#[test]
fn every_operation_has_an_id_of_its_own() {
    let document = Fixture::start().0.get("/openapi.json").json();
    let mut of: HashMap<&str, Vec<String>> = HashMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(id) = operation["operationId"].as_str() {
                of.entry(id).or_default().push(format!("{method} {path}"));
            }
        }
    }
    assert!(of.len() > 20, "{of:?}");
    of.retain(|_, operations| operations.len() > 1);
    assert!(of.is_empty(), "{of:#?}");
}

/// A parameter of a scope's path is one of every operation in it.
#[test]
fn every_parameter_of_a_path_is_documented() {
    let document = Fixture::start().0.get("/openapi.json").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let names = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'));
        for (name, _) in names {
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array();
                let has =
                    |parameter: &Value| parameter["name"] == name && parameter["in"] == "path";
                let found = parameters.is_some_and(|all| all.iter().any(has));
                assert!(found, "{method} {path}: {name}");
            }
        }
    }
}
