//! Settings made up key by key: good values, and bad ones.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;

use crate::laws::KEYS;
use crate::values::{Check, Good, Set, Value};

/// What a key takes.
#[derive(Clone, Copy)]
enum Kind {
    Label,
    Host,
    Whole(i64, i64),
    AutoOr(i64),
    /// Milliseconds, from one to another, in steps of so many.
    Time(u64, u64, u64),
    Checks,
    Filter,
    Format,
    Bool,
    Path,
    Networks,
    Hosts,
}

fn kind(key: &str) -> Kind {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    match key {
        "app.name" | "app.version" | "app.environment" => Kind::Label,
        "server.host" | "management.host" => Kind::Host,
        "server.port" | "management.port" => Kind::Whole(0, 65_535),
        "server.workers" => Kind::AutoOr(512),
        "server.max_in_flight" => Kind::AutoOr(1_000_000),
        "server.keep_alive" => Kind::Time(0, HOUR, 1),
        "server.request_timeout" => Kind::Time(1, HOUR, 1),
        "server.client_header_timeout" => Kind::Time(1, 5 * MINUTE, 1),
        "server.upgrade_idle_timeout" => Kind::Time(SECOND, 24 * HOUR, 1),
        "server.max_body_bytes" => Kind::Whole(0, 1 << 30),
        "server.max_connections" => Kind::Whole(1, 1_000_000),
        "server.memory_budget" => Kind::Whole(16 << 20, 1 << 40),
        "server.backlog" => Kind::Whole(1, 65_535),
        "shutdown.drain_delay" => Kind::Time(0, 10 * MINUTE, 1),
        "shutdown.timeout" => Kind::Time(0, HOUR, SECOND),
        "shutdown.grace_period" => Kind::Time(SECOND, 2 * HOUR, 1),
        "readiness.checks" => Kind::Checks,
        "log.filter" => Kind::Filter,
        "log.format" => Kind::Format,
        "metrics.path" => Kind::Path,
        "server.trusted_proxies" => Kind::Networks,
        "management.allowed_hosts" => Kind::Hosts,
        "server.proxy_protocol"
        | "log.access"
        | "log.probes"
        | "metrics.enabled"
        | "debug.routes" => Kind::Bool,
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

fn networks() -> impl Strategy<Value = Vec<IpNet>> {
    let network = prop_oneof![
        (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, bits)| IpNet::new(ip.into(), bits)),
        // None that is an IPv4 network in IPv6.
        (any::<u128>(), 0..=128_u8)
            .prop_map(|(ip, bits)| { IpNet::new(Ipv6Addr::from(ip | 1 << 100).into(), bits) }),
    ];
    let network = network.prop_map(|network| network.expect("it is in range").trunc());
    prop::collection::vec(network, 0..4)
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
        Kind::AutoOr(max) => prop_oneof![
            Just(Good::Text("auto".to_owned())),
            (1..=max).prop_map(Good::Whole),
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
        Kind::Networks => networks().prop_map(Good::Networks).boxed(),
        Kind::Hosts => {
            let host = "\\.?([a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?\\.){0,3}[a-z][a-z0-9]{0,10}";
            prop::collection::vec(host, 0..4).prop_map(Good::Hosts).boxed()
        }
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
        Kind::AutoOr(max) => prop_oneof![
            one_of(&["", "0", "Auto", "-1", "99999999999999999999"]),
            Just((max + 1).to_string()),
        ]
        .boxed(),
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
        Kind::Networks => one_of(&[
            "",
            "10.0.0.0/8",
            "[10.0.0.0/8]",
            "[\"10.0.0.0/33\"]",
            "[\"10.1.2.3/8\"]",
            "[\"::ffff:10.0.0.0/104\"]",
            "[\"localhost\"]",
            "[\"\"]",
            "[\"10.0.0.0/8\", 1]",
            "[]\nx = 1",
        ])
        .boxed(),
        Kind::Hosts => one_of(&[
            "",
            "localhost",
            "[1]",
            "[\"a:80\"]",
            "[\"http://a\"]",
            "[\".\"]",
            "[\"*.a\"]",
            "[\"..a\"]",
            "[\"\"]",
            "[\"a\", 1]",
        ])
        .boxed(),
        Kind::Path => one_of(&["", "/", "m", "/a/", "/a//b", "/..", "/é", "/api/"]).boxed(),
    }
}

/// What a variable cannot hold for `key`.
pub(crate) fn bad_variable(key: &str) -> BoxedStrategy<OsString> {
    let not_utf8 = any::<Vec<u8>>().prop_map(|mut bytes| {
        bytes.push(0xff);
        OsString::from_vec(bytes)
    });
    // Empty is unset, and no value.
    let text = bad_text(key).prop_filter("not empty", |text| !text.is_empty());
    prop_oneof![4 => text.prop_map(OsString::from), 1 => not_utf8].boxed()
}

/// What a file cannot hold for `key`.
pub(crate) fn bad_value(key: &str) -> BoxedStrategy<Value> {
    let whole = match kind(key) {
        Kind::Whole(min, max) => {
            prop_oneof![..min, max + 1.., select(vec![min - 1, max + 1])].boxed()
        }
        Kind::AutoOr(max) => prop_oneof![..1_i64, max + 1.., select(vec![0, max + 1])].boxed(),
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
