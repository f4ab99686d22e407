//! The values of settings: how a file and a variable have them, and what the settings become by them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use berth_kit_settings::{LogFormat, MaxInFlight, ReadinessCheck, Settings, Target, Workers};
use ipnet::IpNet;

use crate::laws::{KEYS, variable};

/// A section, a name in it, and its value in a file.
pub(crate) type Leaf = (String, String, Value);

/// A variable's name and value.
pub(crate) type Variable = (OsString, OsString);

/// A value as a file has it.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Nothing,
    Text(String),
    Whole(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// As TOML or YAML has it on one line; they differ in how a table's keys stand.
    pub(crate) fn write(&self, is: &str) -> String {
        let comma = |parts: Vec<String>| parts.join(", ");
        match self {
            // TOML has no such thing; an empty table is as wrong.
            Self::Nothing => "{}".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Whole(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => {
                format!(
                    "[{}]",
                    comma(items.iter().map(|item| item.write(is)).collect())
                )
            }
            Self::Table(keys) => {
                let pair = |(key, value): &(String, Self)| {
                    format!("{}{is}{}", quoted(key), value.write(is))
                };
                format!("{{{}}}", comma(keys.iter().map(pair).collect()))
            }
        }
    }
}

/// In quotes and escapes that both TOML and YAML have. Our YAML has no `&` and `*` of its own.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        if c.is_control() || matches!(c, '"' | '\\' | '&' | '*') {
            let _ = write!(out, "\\u{:04X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out + "\""
}

/// A value that a key may have.
#[derive(Debug, Clone)]
pub(crate) enum Good {
    Text(String),
    Whole(i64),
    Bool(bool),
    /// Milliseconds, and one way to write them.
    Time(u64, String),
    Checks(Vec<Check>),
    Networks(Vec<IpNet>),
    Hosts(Vec<String>),
}

/// A check as it is written, where what is not written has a default.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) interval: Option<u64>,
    pub(crate) timeout: Option<u64>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) success_threshold: Option<u32>,
    pub(crate) required: Option<bool>,
    pub(crate) status: Option<(u16, u16)>,
}

impl Good {
    pub(crate) fn in_file(&self) -> Value {
        match self {
            Self::Text(text) | Self::Time(_, text) => Value::Text(text.clone()),
            Self::Whole(number) => Value::Whole(*number),
            Self::Bool(value) => Value::Bool(*value),
            Self::Checks(checks) => Value::List(checks.iter().map(Check::table).collect()),
            Self::Hosts(hosts) => Value::List(hosts.iter().map(|host| Value::text(host)).collect()),
            Self::Networks(networks) => {
                let text = |network: &IpNet| {
                    let is_address = network.prefix_len() == network.max_prefix_len();
                    Value::Text(if is_address {
                        network.addr().to_string()
                    } else {
                        network.to_string()
                    })
                };
                Value::List(networks.iter().map(text).collect())
            }
        }
    }

    pub(crate) fn in_variable(&self) -> OsString {
        match self.in_file() {
            Value::Text(text) => text.into(),
            other => other.write(" = ").into(),
        }
    }

    /// What becomes of `settings`. The checks are compared by [`Check::is`].
    pub(crate) fn put(&self, key: &str, settings: &mut Settings) {
        let text = || match self {
            Self::Text(text) => text.clone(),
            other => panic!("{key} = {other:?}"),
        };
        let time = || match self {
            Self::Time(millis, _) => Duration::from_millis(*millis),
            other => panic!("{key} = {other:?}"),
        };
        let whole = || match self {
            Self::Whole(number) => usize::try_from(*number).expect("it is in range"),
            other => panic!("{key} = {other:?}"),
        };
        let port = || u16::try_from(whole()).expect("it is in range");
        let truth = || match self {
            Self::Bool(value) => *value,
            other => panic!("{key} = {other:?}"),
        };
        let Settings {
            app,
            server,
            shutdown,
            log,
            metrics,
            ..
        } = settings;
        match key {
            "app.name" => app.name = text(),
            "app.version" => app.version = text(),
            "app.environment" => app.environment = text(),
            "server.host" => server.host = text(),
            "server.port" => server.port = port(),
            "server.workers" => {
                server.workers = match self {
                    Self::Text(_) => Workers::Auto,
                    _ => Workers::Fixed(NonZeroUsize::new(whole()).expect("it is in range")),
                }
            }
            "server.keep_alive" => server.keep_alive = time(),
            "server.request_timeout" => server.request_timeout = time(),
            "server.client_header_timeout" => server.client_header_timeout = time(),
            "server.upgrade_idle_timeout" => server.upgrade_idle_timeout = time(),
            "server.max_body_bytes" => server.max_body_bytes = whole(),
            "server.max_connections" => server.max_connections = whole(),
            "server.max_in_flight" => {
                server.max_in_flight = Some(match self {
                    Self::Text(_) => MaxInFlight::Auto,
                    _ => MaxInFlight::Fixed(NonZeroUsize::new(whole()).expect("it is in range")),
                });
            }
            "server.memory_budget" => server.memory_budget = u64::try_from(whole()).ok(),
            "server.backlog" => server.backlog = u32::try_from(whole()).expect("it is in range"),
            "server.trusted_proxies" => {
                server.trusted_proxies = match self {
                    Self::Networks(networks) => networks.clone(),
                    other => panic!("{key} = {other:?}"),
                }
            }
            "server.proxy_protocol" => server.proxy_protocol = truth(),
            "shutdown.drain_delay" => shutdown.drain_delay = time(),
            "shutdown.timeout" => shutdown.timeout = time(),
            "shutdown.grace_period" => shutdown.grace_period = Some(time()),
            "readiness.checks" => {}
            "log.filter" => log.filter = text(),
            "log.format" => {
                log.format = match &*text() {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                }
            }
            "log.access" => log.access = truth(),
            "log.probes" => log.probes = truth(),
            "metrics.enabled" => metrics.enabled = truth(),
            "metrics.path" => metrics.path = text(),
            "management.host" => settings.management.host = Some(text()),
            "management.allowed_hosts" => {
                settings.management.allowed_hosts = match self {
                    Self::Hosts(hosts) => hosts.clone(),
                    other => panic!("{key} = {other:?}"),
                }
            }
            "management.port" => settings.management.port = Some(port()),
            "debug.routes" => settings.debug.routes = truth(),
            other => panic!("{other} is not known here"),
        }
    }
}

impl Check {
    fn table(&self) -> Value {
        let millis = |millis: u64| Value::Text(format!("{millis}ms"));
        let whole = |number: u32| Value::Whole(number.into());
        let keys = [
            ("name", Some(Value::text(&self.name))),
            ("url", Some(Value::text(&self.url))),
            ("interval", self.interval.map(millis)),
            ("timeout", self.timeout.map(millis)),
            ("failure_threshold", self.failure_threshold.map(whole)),
            ("success_threshold", self.success_threshold.map(whole)),
            ("required", self.required.map(Value::Bool)),
            (
                "status",
                self.status
                    .map(|(first, last)| Value::Text(format!("{first}-{last}"))),
            ),
        ];
        let there = keys
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Table(there.collect())
    }

    pub(crate) fn is(&self, check: &ReadinessCheck) -> bool {
        let interval = Duration::from_millis(self.interval.unwrap_or(10_000));
        let timeout = self
            .timeout
            .map_or(interval.min(Duration::from_secs(2)), Duration::from_millis);
        let (first, last) = self.status.unwrap_or((200, 299));
        check.name == self.name
            && exposed(&check.target) == self.url
            && check.interval == interval
            && check.timeout == timeout
            && check.failure_threshold == self.failure_threshold.unwrap_or(3)
            && check.success_threshold == self.success_threshold.unwrap_or(1)
            && check.required == self.required.unwrap_or(true)
            && check.status == (first..=last)
    }
}

/// The whole URL.
fn exposed(target: &Target) -> String {
    match target {
        Target::Tcp { .. } => target.to_string(),
        Target::Http(url) | Target::Https(url) | Target::Redis(url) => url.expose().to_string(),
        Target::Postgres(url) => url.expose().to_owned(),
    }
}

/// How one key is set.
#[derive(Debug, Clone)]
pub(crate) enum Set {
    Not,
    Good(Good),
    Bad(Value),
    GoodVariable(Good),
    BadVariable(OsString),
    /// A bad value in the file that a good variable covers.
    Covered(Value, Good),
}

/// The ways to write one file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Tables,
    Dotted,
    Inline,
    Yaml,
    Flow,
}

pub(crate) const STYLES: [Style; 5] = [
    Style::Tables,
    Style::Dotted,
    Style::Inline,
    Style::Yaml,
    Style::Flow,
];

impl Style {
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Yaml | Self::Flow => "a.yaml",
            _ => "a.toml",
        }
    }

    /// Leaves of sections as one file. A section's leaves stand together.
    pub(crate) fn write(self, leaves: &[Leaf]) -> String {
        let mut text = String::new();
        let mut sections: Vec<(&str, Vec<(&str, &Value)>)> = Vec::new();
        for (section, name, value) in leaves {
            match sections.iter_mut().find(|(known, _)| known == section) {
                Some((_, names)) => names.push((name, value)),
                None => sections.push((section, vec![(name, value)])),
            }
        }
        for (section, names) in sections {
            let is = if self.file() == "a.yaml" { ": " } else { " = " };
            let pairs: Vec<_> = names
                .iter()
                .map(|(name, value)| format!("{name}{is}{}", value.write(is)))
                .collect();
            let dotted = |pair: &String| format!("{section}.{pair}");
            let lines = match self {
                Self::Tables => format!("[{section}]\n{}", pairs.join("\n")),
                Self::Dotted => pairs.iter().map(dotted).collect::<Vec<_>>().join("\n"),
                Self::Inline => format!("{section} = {{{}}}", pairs.join(", ")),
                Self::Yaml => format!("{section}:\n  {}", pairs.join("\n  ")),
                Self::Flow => format!("{section}: {{{}}}", pairs.join(", ")),
            };
            text.extend([lines.as_str(), "\n"]);
        }
        text
    }
}

/// A file's leaves, and the environment.
pub(crate) fn layers(sets: &[Set]) -> (Vec<Leaf>, Vec<Variable>) {
    let mut leaves = Vec::new();
    let mut environment = Vec::new();
    for (key, set) in KEYS.iter().zip(sets) {
        let (section, name) = key.split_once('.').expect("a key has a section");
        let mut leaf = |value: Value| leaves.push((section.to_owned(), name.to_owned(), value));
        let mut set_variable = |value: OsString| environment.push((variable(key).into(), value));
        match set {
            Set::Not => {}
            Set::Good(good) => leaf(good.in_file()),
            Set::Bad(value) => leaf(value.clone()),
            Set::GoodVariable(good) => set_variable(good.in_variable()),
            Set::BadVariable(value) => set_variable(value.clone()),
            Set::Covered(bad, good) => {
                leaf(bad.clone());
                set_variable(good.in_variable());
            }
        }
    }
    (leaves, environment)
}
