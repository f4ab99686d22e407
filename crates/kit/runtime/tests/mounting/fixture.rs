//! The running fixture, and what it mounts.

use serde_json::Value;

use berth_testkit::Process;

use crate::support;

/// Where the handlers are that each way of mounting has.
#[derive(Debug)]
pub(crate) struct Group {
    /// What its routes begin with, as the router has it.
    pub(crate) pattern: &'static str,
    /// And as a request has it.
    pub(crate) path: &'static str,
    /// What a request needs to get there.
    pub(crate) headers: &'static str,
}

impl Group {
    const fn new(pattern: &'static str, path: &'static str) -> Self {
        Self {
            pattern,
            path,
            headers: "",
        }
    }

    pub(crate) fn target(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }

    pub(crate) fn route(&self, rest: &str) -> String {
        format!("{}{rest}", self.pattern)
    }
}

pub(crate) const TOKEN: &str = "Authorization: Bearer secret\r\n";

/// A scope, one with middleware, a nested one, one that asks who is there; attribute macros; `web::resource`.
pub(crate) const GROUPS: [Group; 6] = [
    Group::new("/plain", "/plain"),
    Group::new("/wrapped", "/wrapped"),
    Group::new("/outer/inner", "/outer/inner"),
    Group {
        headers: TOKEN,
        ..Group::new("/private", "/private")
    },
    Group::new("/items/{id}", "/items/7"),
    Group::new("/resource/{id}", "/resource/7"),
];

/// What is mounted beside the groups.
const OTHERS: [(&str, &str); 21] = [
    ("GET", "/items"),
    ("POST", "/items"),
    ("DELETE", "/items"),
    ("GET", "/items/{id}"),
    ("PUT", "/items/{id}"),
    ("DELETE", "/items/{id}"),
    ("GET", "/resource/{id}"),
    ("DELETE", "/resource/{id}"),
    ("PUT", "/resource/{id}/upload"),
    ("PUT", "/private/upload"),
    ("PUT", "/upload"),
    ("PUT", "/large/collect"),
    ("GET", "/export"),
    ("GET", "/ws"),
    ("GET", "/errors/json"),
    ("GET", "/errors/text"),
    ("GET", "/errors/client"),
    ("GET", "/errors/server"),
    ("GET", "/errors/actix"),
    ("GET", "/errors/empty"),
    ("GET", "/errors/answer"),
];

/// All that is mounted: methods and patterns.
pub(crate) fn mounted() -> Vec<(&'static str, String)> {
    let others = OTHERS.map(|(method, pattern)| (method, pattern.to_owned()));
    let mut mounted = Vec::from(others);
    for group in &GROUPS {
        for rest in ["/panic", "/slow", "/log"] {
            mounted.push(("GET", group.route(rest)));
        }
        mounted.push(("POST", group.route("/order")));
    }
    mounted
}

/// The settings' limits that the fixture runs under.
pub(crate) const MAX_BODY: usize = 1000;
pub(crate) const REQUEST_TIMEOUT: &str = "1s";

pub(crate) struct Fixture(pub(crate) Process);

impl Fixture {
    /// Starts it, and waits until it serves what it mounts.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these variables, too.
    pub(crate) fn start_with(more: &[(&str, &str)]) -> Self {
        let max_body = MAX_BODY.to_string();
        let mut variables = vec![
            ("BERTH__LOG__FORMAT", "json"),
            ("BERTH__SERVER__REQUEST_TIMEOUT", REQUEST_TIMEOUT),
            ("BERTH__SERVER__MAX_BODY_BYTES", &max_body),
        ];
        variables.extend(more);
        let mut process = support::start("fixture", &variables);
        process.wait_for_log("undocumented: ");
        while process.get("/ready").status != 200 {}
        Self(process)
    }

    /// The access line of the request with this id, once it is there. All that the request has logged before it
    /// ended is there then, too.
    #[track_caller]
    pub(crate) fn access(&mut self, id: &str) -> Value {
        let is_its = |line: &str| {
            let line = parse(line);
            line["target"] == "access" && line["request_id"] == id
        };
        parse(&self.0.wait_for_line(id, is_its))
    }

    /// What was logged, as far as it has been waited for, but for the access lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let log = self.0.log();
        let lines = log.iter().map(|line| parse(line));
        lines.filter(|line| line["target"] != "access").collect()
    }

    /// Those of its lines that carry this id.
    pub(crate) fn lines_of(&self, id: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["request_id"] == id);
        lines
    }

    /// The value of a series, by its name with its labels.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let exposition = self.0.get("/metrics");
        let mut lines = exposition.text().lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().unwrap())
    }

    /// How many requests of this kind have ended.
    pub(crate) fn counted(&self, method: &str, endpoint: &str, status: u16) -> Option<f64> {
        self.metric(&format!(
            "api_requests_total{{endpoint=\"{endpoint}\",method=\"{method}\",status=\"{status}\"}}"
        ))
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
