//! Settings made up key by key: good ones with what they must become, and bad ones.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use berth_kit_settings::{LogFormat, ReadinessCheck, Settings, Workers};
use proptest::prelude::*;
use proptest::sample::select;

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
    fn text(text: &str) -> Self {
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
}

/// A check as it is written, where what is not written has a default.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    name: String,
    url: String,
    interval: Option<u64>,
    timeout: Option<u64>,
    failure_threshold: Option<u32>,
    success_threshold: Option<u32>,
    required: Option<bool>,
    status: Option<(u16, u16)>,
}

impl Good {
    pub(crate) fn in_file(&self) -> Value {
        match self {
            Self::Text(text) | Self::Time(_, text) => Value::Text(text.clone()),
            Self::Whole(number) => Value::Whole(*number),
            Self::Bool(value) => Value::Bool(*value),
            Self::Checks(checks) => Value::List(checks.iter().map(Check::table).collect()),
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
            "server.backlog" => server.backlog = u32::try_from(whole()).expect("it is in range"),
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
            && check.target.url().as_str() == self.url
            && check.interval == interval
            && check.timeout == timeout
            && check.failure_threshold == self.failure_threshold.unwrap_or(3)
            && check.success_threshold == self.success_threshold.unwrap_or(1)
            && check.required == self.required.unwrap_or(true)
            && check.status == (first..=last)
    }
}

/// What a key takes.
#[derive(Clone, Copy)]
enum Kind {
    Label,
    Host,
    Whole(i64, i64),
    Workers,
    /// Milliseconds, from one to another, in steps of so many.
    Time(u64, u64, u64),
    Checks,
    Filter,
    Format,
    Bool,
    Path,
}

fn kind(key: &str) -> Kind {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    match key {
        "app.name" | "app.version" | "app.environment" => Kind::Label,
        "server.host" => Kind::Host,
        "server.port" | "management.port" => Kind::Whole(0, 65_535),
        "server.workers" => Kind::Workers,
        "server.keep_alive" => Kind::Time(0, HOUR, 1),
        "server.request_timeout" => Kind::Time(1, HOUR, 1),
        "server.client_header_timeout" => Kind::Time(1, 5 * MINUTE, 1),
        "server.upgrade_idle_timeout" => Kind::Time(SECOND, 24 * HOUR, 1),
        "server.max_body_bytes" => Kind::Whole(0, 1 << 30),
        "server.max_connections" => Kind::Whole(1, 1_000_000),
        "server.backlog" => Kind::Whole(1, 65_535),
        "shutdown.drain_delay" => Kind::Time(0, 10 * MINUTE, 1),
        "shutdown.timeout" => Kind::Time(0, HOUR, SECOND),
        "shutdown.grace_period" => Kind::Time(SECOND, 2 * HOUR, 1),
        "readiness.checks" => Kind::Checks,
        "log.filter" => Kind::Filter,
        "log.format" => Kind::Format,
        "metrics.path" => Kind::Path,
        "log.access" | "log.probes" | "metrics.enabled" | "debug.routes" => Kind::Bool,
        other => panic!("{other} is not known here"),
    }
}

fn time(min: u64, max: u64, step: u64) -> impl Strategy<Value = Good> {
    (min / step..=max / step, 0..3).prop_map(move |(steps, way)| {
        let millis = steps * step;
        let spelled = humantime::format_duration(Duration::from_millis(millis)).to_string();
        let spelled = match way {
            0 => spelled,
            1 => spelled.replace(' ', ""),
            _ => format!("{millis}ms"),
        };
        Good::Time(millis, spelled)
    })
}

fn checks() -> impl Strategy<Value = Vec<Check>> {
    let url = prop_oneof![
        "tcp://[a-z]{1,9}:[1-9][0-9]{0,3}",
        "https?://[a-z]{1,9}/[a-z]{0,9}",
        "redis://:[a-z]{1,9}@[a-z]{1,9}:1/[0-9]",
        "postgres://[a-z]{1,9}@[a-z]{1,9}/[a-z]{1,9}",
    ];
    let threshold = || prop::option::of(1..=100_u32);
    let check = (
        ("[a-z]([a-z0-9-]{0,20}[a-z])?", url),
        prop::option::of(100..=600_000_u64),
        prop::option::of(1..=100_u64),
        (threshold(), threshold()),
        prop::option::of(any::<bool>()),
        prop::option::of((100..=599_u16, 100..=599_u16)),
    );
    let check = check.prop_map(
        |((name, url), interval, percent, (failures, successes), required, status)| Check {
            name,
            url,
            interval,
            timeout: percent.map(|percent| interval.unwrap_or(10_000) * percent / 100),
            failure_threshold: failures,
            success_threshold: successes,
            required,
            status: status.map(|(a, b)| (a.min(b), a.max(b))),
        },
    );
    prop::collection::vec(check, 0..4).prop_map(|mut checks| {
        for (index, check) in checks.iter_mut().enumerate() {
            check.name = format!("{}-{index}", check.name);
        }
        checks
    })
}

/// A value that `key` may have.
pub(crate) fn good(key: &str) -> BoxedStrategy<Good> {
    match kind(key) {
        Kind::Label => "\\PC{1,64}".prop_map(Good::Text).boxed(),
        Kind::Host => prop_oneof![
            any::<Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<Ipv6Addr>().prop_map(|ip| ip.to_string()),
            "([a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?\\.){0,3}[A-Za-z][a-z0-9]{0,10}\\.?",
        ]
        .prop_map(Good::Text)
        .boxed(),
        Kind::Whole(min, max) => {
            prop_oneof![4 => min..=max, 1 => select(vec![min, max])].prop_map(Good::Whole).boxed()
        }
        Kind::Workers => prop_oneof![
            Just(Good::Text("auto".to_owned())),
            (1..=512_i64).prop_map(Good::Whole),
        ]
        .boxed(),
        Kind::Time(min, max, step) => prop_oneof![
            2 => time(min, max, step),
            1 => time(min, min.max(step * 9), step),
            1 => time(max, max, step),
        ]
        .boxed(),
        Kind::Checks => checks().prop_map(Good::Checks).boxed(),
        Kind::Filter => {
            "(off|error|WARN|Info|debug|trace)(,[a-z]{1,8}(::[a-z]{1,8})?=(off|error|warn|info)){0,3}"
                .prop_map(Good::Text)
                .boxed()
        }
        Kind::Format => select(vec!["text", "json"]).prop_map(|text| Good::Text(text.to_owned())).boxed(),
        Kind::Bool => any::<bool>().prop_map(Good::Bool).boxed(),
        Kind::Path => "/m[A-Za-z0-9_~.-]{0,20}(/[A-Za-z0-9_~-]{1,10}){0,3}".prop_map(Good::Text).boxed(),
    }
}

/// Text that is wrong for `key`, in a variable as in a file.
fn bad_text(key: &str) -> BoxedStrategy<String> {
    let one_of = |texts: &'static [&'static str]| select(texts).prop_map(str::to_owned);
    match kind(key) {
        Kind::Label => prop_oneof![
            "[a-z]{65,90}",
            "[a-z]{0,5}[\n\t\u{7f}\u{85}][a-z]{0,5}",
            Just(String::new())
        ]
        .boxed(),
        Kind::Host => one_of(&["", "a b", "[::1]", "-a", "1.2.3", "a:80", "é", "a..b"]).boxed(),
        Kind::Whole(min, max) => prop_oneof![
            one_of(&[
                "",
                " 1",
                "+1",
                "1.0",
                "0x1",
                "1_0",
                "99999999999999999999",
                "١"
            ]),
            prop_oneof![Just(max + 1), max + 1..].prop_map(|number| number.to_string()),
            prop_oneof![Just(min - 1), ..min].prop_map(|number| number.to_string()),
        ]
        .boxed(),
        Kind::Workers => one_of(&["", "0", "513", "Auto", "-1", "99999999999999999999"]).boxed(),
        Kind::Time(min, max, step) => prop_oneof![
            one_of(&[
                "",
                "0",
                "5",
                "1e3s",
                "-1s",
                "1x",
                "1 30s",
                "9999999999999s",
                "500000000y",
                "s"
            ]),
            prop_oneof![Just(max + 1), max + 1..1 << 30].prop_map(|millis| format!("{millis}ms")),
            Just(match (min, step) {
                (0, 1) => "1.5".to_owned(),
                (0, _) => "1500ms".to_owned(),
                _ => format!("{}us", min * 1000 - 1),
            }),
        ]
        .boxed(),
        Kind::Checks => one_of(&[
            "",
            "1",
            "{}",
            "[1]",
            "[[]]",
            "[{]",
            "[{}",
            "true",
            "[]\nx = 1",
        ])
        .boxed(),
        Kind::Filter => one_of(&["", " ", "a=b", "a=b=c", "info/a/b", "in\nfo"]).boxed(),
        Kind::Format => one_of(&["", "Text", "yaml", "json "]).boxed(),
        Kind::Bool => one_of(&["", "True", "1", "yes", " true"]).boxed(),
        Kind::Path => one_of(&[
            "", "/", "m", "/a/", "/a//b", "/..", "/é", "/health", "/debug/x", "/api/",
        ])
        .boxed(),
    }
}

/// What a variable cannot hold for `key`.
pub(crate) fn bad_variable(key: &str) -> BoxedStrategy<OsString> {
    let not_utf8 = any::<Vec<u8>>().prop_map(|mut bytes| {
        bytes.push(0xff);
        OsString::from_vec(bytes)
    });
    prop_oneof![4 => bad_text(key).prop_map(OsString::from), 1 => not_utf8].boxed()
}

/// What a file cannot hold for `key`.
pub(crate) fn bad_value(key: &str) -> BoxedStrategy<Value> {
    let whole = match kind(key) {
        Kind::Whole(min, max) => {
            prop_oneof![..min, max + 1.., select(vec![min - 1, max + 1])].boxed()
        }
        Kind::Workers => prop_oneof![..1_i64, 513_i64.., select(vec![0, 513])].boxed(),
        _ => any::<i64>().boxed(),
    };
    let truth = match kind(key) {
        Kind::Bool => Just(Value::Whole(1)).boxed(),
        _ => any::<bool>().prop_map(Value::Bool).boxed(),
    };
    let list = prop_oneof![
        (0..3_i64).prop_map(|item| Value::List(vec![Value::Whole(item)])),
        Just(Value::List(vec![Value::Nothing, Value::text("x")])),
    ];
    prop_oneof![
        3 => bad_text(key).prop_map(Value::Text),
        1 => whole.prop_map(Value::Whole),
        1 => truth,
        1 => (-1e9..1e9).prop_map(Value::Float),
        1 => list,
        1 => Just(Value::Nothing),
        1 => Just(Value::Table(vec![("port".to_owned(), Value::Whole(1))])),
    ]
    .boxed()
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

fn set(key: &str) -> impl Strategy<Value = Set> + use<> {
    prop_oneof![
        6 => Just(Set::Not),
        2 => good(key).prop_map(Set::Good),
        2 => bad_value(key).prop_map(Set::Bad),
        2 => good(key).prop_map(Set::GoodVariable),
        2 => bad_variable(key).prop_map(Set::BadVariable),
        1 => (bad_value(key), good(key)).prop_map(|(bad, good)| Set::Covered(bad, good)),
    ]
}

/// Some way to set each key.
pub(crate) fn sets() -> impl Strategy<Value = Vec<Set>> {
    KEYS.map(|key| set(key).boxed()).to_vec()
}

/// A good way to set some of the keys.
pub(crate) fn good_sets() -> impl Strategy<Value = Vec<Set>> {
    let set = |key| {
        prop_oneof![
            Just(Set::Not),
            good(key).prop_map(Set::Good),
            good(key).prop_map(Set::GoodVariable),
            (bad_value(key), good(key)).prop_map(|(bad, good)| Set::Covered(bad, good)),
        ]
    };
    KEYS.map(|key| set(key).boxed()).to_vec()
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
