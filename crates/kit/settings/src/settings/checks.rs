//! `readiness.checks`: the one setting that is a list of tables.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Map, Value, ValueKind};
use serde_json::{Value as Json, json};

use super::lists::list;
use crate::entry::Render;
use crate::reading::fault::{Fault, Origin};
use crate::reading::layers::{self, Raw};
use crate::reading::parse;
use crate::reading::reader::Reader;
use crate::reading::shown::{cut, quote};
use crate::settings::target::{Target, target};

/// The key of the list.
pub(crate) const KEY: &str = "readiness.checks";

/// More would be a load on the things that are asked.
const MAX_CHECKS: usize = 32;

/// Something that the service needs, and how to ask whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// What it is called in `/ready`, in metrics and in the log: 1 to 40 of `a-z 0-9 -`.
    pub name: String,
    /// What to ask.
    pub target: Target,
    /// From one attempt to the next, 100ms to 10m.
    pub interval: Duration,
    /// How long one attempt may take, 1ms to the interval.
    pub timeout: Duration,
    /// So many failures in a row make it failed, 1 to 100.
    pub failure_threshold: u32,
    /// So many successes in a row make it good again, 1 to 100. The very first needs one.
    pub success_threshold: u32,
    /// Whether the service is not ready without it; else it is only degraded.
    pub required: bool,
    /// The statuses that count as success, for HTTP.
    pub status: RangeInclusive<u16>,
}

fn name(raw: &Raw) -> Result<String, String> {
    let allowed = "must be 1 to 40 of the characters a-z 0-9 and, between them, -";
    parse::text_if(raw, allowed, |text| {
        (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    })
}

/// `200`, or `200-399`.
fn statuses(raw: &Raw) -> Result<RangeInclusive<u16>, String> {
    let refuse = || {
        raw.refuse(
            "must be a status or a range of them, such as \"200\" or \"200-399\"",
            true,
        )
    };
    let Some(text) = raw.text() else {
        return refuse();
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>()
            .ok()
            .filter(|status| digits && (100..=599).contains(status))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => refuse(),
    }
}

/// The checks; TOML has them inline.
impl Render for Vec<ReadinessCheck> {
    fn render(&self) -> String {
        let checks: Vec<_> = self
            .iter()
            .map(|check| {
                format!(
                    "{{ name = {}, url = {}, interval = {}, timeout = {}, failure_threshold = {}, \
                     success_threshold = {}, required = {}, status = \"{}-{}\" }}",
                    check.name.render(),
                    quote(&check.target.to_string(), usize::MAX),
                    check.interval.render(),
                    check.timeout.render(),
                    check.failure_threshold,
                    check.success_threshold,
                    check.required,
                    check.status.start(),
                    check.status.end(),
                )
            })
            .collect();
        format!("[{}]", checks.join(", "))
    }

    fn json(&self) -> Json {
        self.iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "url": check.target.to_string(),
                    "interval": check.interval.json(),
                    "timeout": check.timeout.json(),
                    "failure_threshold": check.failure_threshold,
                    "success_threshold": check.success_threshold,
                    "required": check.required,
                    "status": format!("{}-{}", check.status.start(), check.status.end()),
                })
            })
            .collect()
    }
}

/// Takes the list, or adds every fault in it.
pub(crate) fn take(r: &mut Reader) -> Vec<ReadinessCheck> {
    let Some((raw, origin)) = r.take_raw(KEY) else {
        r.record(KEY, &Vec::<ReadinessCheck>::new(), Origin::Default);
        return Vec::new();
    };
    let tables = match tables(&raw) {
        Ok(tables) => tables,
        Err(problem) => {
            r.fault(Fault {
                key: KEY.to_owned(),
                value: None,
                origin,
                problem,
            });
            return Vec::new();
        }
    };
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        let mut item = Item {
            r,
            index,
            table,
            origin: &origin,
        };
        if let Some(check) = item.take() {
            if !names.insert(check.name.clone()) {
                item.fault(
                    "name",
                    Some(check.name.render()),
                    "must not be another check's, too".to_owned(),
                );
            }
            checks.push(check);
        }
        item.finish();
    }
    r.record(KEY, &checks, origin);
    checks
}

/// The tables of the list. In a variable it is written as TOML would have it inline.
fn tables(raw: &Raw) -> Result<Vec<Map<String, Value>>, String> {
    const ALLOWED: &str =
        "must be a list of tables, such as [{ name = \"db\", url = \"tcp://db:5432\" }]";
    let items = list(raw, ALLOWED, MAX_CHECKS, "checks")?;
    items
        .into_iter()
        .map(|item| match item.kind {
            ValueKind::Table(table) => Ok(table),
            _ => Err(ALLOWED.to_owned()),
        })
        .collect()
}

/// One table of the list, whose keys are taken one at a time.
struct Item<'a> {
    r: &'a mut Reader,
    index: usize,
    table: Map<String, Value>,
    origin: &'a Origin,
}

impl Item<'_> {
    const KEYS: [&'static str; 8] = [
        "name",
        "url",
        "interval",
        "timeout",
        "failure_threshold",
        "success_threshold",
        "required",
        "status",
    ];

    fn take(&mut self) -> Option<ReadinessCheck> {
        let at_least = Duration::from_millis(100);
        let name = self.required("name", name);
        let target = self.required("url", target);
        let interval = self.optional("interval", Duration::from_secs(10), |raw| {
            parse::duration(raw, at_least..=Duration::from_mins(10))
        });
        // Where the interval is faulty, its own fault is enough.
        let longest = interval.unwrap_or(Duration::from_mins(10));
        let timeout = self.optional("timeout", longest.min(Duration::from_secs(2)), |raw| {
            parse::duration(raw, Duration::from_millis(1)..=longest)
        });
        let failures = self.optional("failure_threshold", 3, |raw| parse::integer(raw, 1..=100));
        let successes = self.optional("success_threshold", 1, |raw| parse::integer(raw, 1..=100));
        let required = self.optional("required", true, parse::boolean);
        let status = self.optional("status", 200..=299, statuses);
        Some(ReadinessCheck {
            name: name?,
            target: target?,
            interval: interval?,
            timeout: timeout?,
            failure_threshold: failures?,
            success_threshold: successes?,
            required: required?,
            status: status?,
        })
    }

    fn optional<T>(
        &mut self,
        key: &str,
        default: T,
        parse: impl Fn(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        if self.table.contains_key(key) {
            self.required(key, parse)
        } else {
            Some(default)
        }
    }

    /// `None` where there is a fault, which is noted.
    fn required<T>(&mut self, key: &str, parse: impl Fn(&Raw) -> Result<T, String>) -> Option<T> {
        let Some(value) = self.table.remove(key) else {
            self.fault(key, None, "is missing".to_owned());
            return None;
        };
        let raw = Raw::Typed(value.kind);
        parse(&raw)
            .map_err(|problem| {
                // There may be a password in a URL that cannot be read.
                let value = (key != "url").then(|| raw.shown()).flatten();
                self.fault(key, value, problem);
            })
            .ok()
    }

    fn fault(&mut self, key: &str, value: Option<String>, problem: String) {
        self.r.fault(Fault {
            key: format!("{KEY}[{}].{key}", self.index),
            value,
            origin: self.origin.clone(),
            problem,
        });
    }

    /// What is left is unknown.
    fn finish(mut self) {
        for key in std::mem::take(&mut self.table).into_keys() {
            let problem = format!("unknown key; a check has {}", Self::KEYS.join(", "));
            self.fault(&cut(layers::component(&key)), None, problem);
        }
    }
}
