//! One raw value into one typed value. An `Err` says what is allowed.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::ValueKind;

use super::layers::Raw;
use super::values::{LogFormat, MaxInFlight, Workers};

type Parsed<T> = Result<T, String>;

impl Raw {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Typed(ValueKind::String(text)) => Some(text),
            Self::Typed(_) => None,
            Self::Text(text) => text.to_str(),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Typed(ValueKind::I64(number)) => Some(*number),
            Self::Typed(_) => None,
            Self::Text(text) => text.to_str().filter(|text| is_digits(text))?.parse().ok(),
        }
    }

    /// `allowed`, and what to do about a value of the wrong type; `quoted` says whether the right
    /// type is written in quotes.
    pub(crate) fn refuse<T>(&self, allowed: &str, quoted: bool) -> Parsed<T> {
        let advice = match self {
            Self::Text(text) if text.to_str().is_none() => "; this is not UTF-8",
            Self::Typed(ValueKind::Table(_)) => ", not a table",
            Self::Typed(ValueKind::Array(_)) => ", not a list",
            Self::Typed(ValueKind::Nil) => ", but it has no value: give it one or remove it",
            Self::Typed(ValueKind::String(text)) if !quoted && is_bare(text) => ", without quotes",
            Self::Typed(ValueKind::String(_)) | Self::Text(_) => "",
            Self::Typed(_) if quoted => ", in quotes",
            Self::Typed(_) => "",
        };
        Err(format!("{allowed}{advice}"))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` would be something other than text without its quotes.
fn is_bare(text: &str) -> bool {
    text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok()
}

/// Text that fulfils `rule`.
pub(crate) fn text_if(raw: &Raw, allowed: &str, rule: impl Fn(&str) -> bool) -> Parsed<String> {
    match raw.text() {
        Some(text) if rule(text) => Ok(text.to_owned()),
        _ => raw.refuse(allowed, true),
    }
}

pub(crate) fn has_chars(text: &str, count: RangeInclusive<usize>) -> bool {
    count.contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A name for people.
pub(crate) fn label(raw: &Raw) -> Parsed<String> {
    // It is shown to everybody, and a URL in the wrong place may have a password in it.
    let allowed = "must be 1 to 64 characters without control characters, and no URL";
    text_if(raw, allowed, |text| {
        has_chars(text, 1..=64) && !text.contains("://")
    })
}

/// `true` or `false`, exactly.
pub(crate) fn boolean(raw: &Raw) -> Parsed<bool> {
    let value = match raw {
        Raw::Typed(ValueKind::Boolean(value)) => Some(*value),
        Raw::Typed(_) => None,
        Raw::Text(text) => text.to_str().and_then(|text| text.parse().ok()),
    };
    value.map_or_else(|| raw.refuse("must be true or false", false), Ok)
}

/// A whole number in `range`, which `T` must be able to hold.
pub(crate) fn integer<T: TryFrom<i64>>(raw: &Raw, range: RangeInclusive<i64>) -> Parsed<T> {
    let number = raw.integer().filter(|number| range.contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .map_or_else(
            || {
                let allowed = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                raw.refuse(&allowed, false)
            },
            Ok,
        )
}

/// A duration in `range`.
pub(crate) fn duration(raw: &Raw, range: RangeInclusive<Duration>) -> Parsed<Duration> {
    let text = raw.text();
    // humantime takes `0` without a unit; nobody should have to know that.
    let is_number = matches!(raw, Raw::Typed(ValueKind::I64(_) | ValueKind::Float(_)))
        || text.is_some_and(|text| text.trim().parse::<f64>().is_ok());
    let duration = text
        .and_then(humane)
        .filter(|duration| !is_number && range.contains(duration));
    if let Some(duration) = duration {
        return Ok(duration);
    }
    let [min, max] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
    let mut allowed = format!("must be a duration from {min} to {max}");
    if is_number {
        allowed += ": write a unit, for example `5s`";
    }
    raw.refuse(&allowed, true)
}

/// As [`duration`], in whole seconds.
pub(crate) fn seconds(raw: &Raw, range: RangeInclusive<Duration>) -> Parsed<Duration> {
    let duration = duration(raw, range)?;
    if duration.subsec_nanos() != 0 {
        return Err("must be whole seconds: actix counts its shutdown in seconds".to_owned());
    }
    Ok(duration)
}

pub(crate) fn humane(text: &str) -> Option<Duration> {
    // humantime reads `1 30s` as 130s, and panics where the sum is just over `u64::MAX` seconds:
    // with these limits no sum comes near it.
    let words: Vec<&str> = text.split_whitespace().collect();
    let split_number = words.windows(2).any(|pair| {
        pair[0].ends_with(|c: char| c.is_ascii_digit())
            && pair[1].starts_with(|c: char| c.is_ascii_digit())
    });
    let huge = text.len() > 64
        || text
            .split(|c: char| !c.is_ascii_digit())
            .any(|run| run.len() > 10);
    if split_number || huge {
        None
    } else {
        humantime::parse_duration(text).ok()
    }
}

/// An IP address or a host name. It is not resolved.
pub(crate) fn host(raw: &Raw) -> Parsed<String> {
    let allowed = "must be an IP address or a host name, without port and brackets";
    text_if(raw, allowed, |text| {
        text.parse::<IpAddr>().is_ok() || is_host_name(text)
    })
}

fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits is an IPv4 address gone wrong.
    name.len() <= 253
        && name.split('.').all(is_label)
        && !name.rsplit('.').next().is_some_and(is_digits)
}

/// `auto` or a number of threads.
pub(crate) fn workers(raw: &Raw) -> Parsed<Workers> {
    let number = auto_or(raw, 512)?;
    Ok(number.map_or(Workers::Auto, Workers::Fixed))
}

/// `auto` or a number of requests.
pub(crate) fn max_in_flight(raw: &Raw) -> Parsed<MaxInFlight> {
    let number = auto_or(raw, 1_000_000)?;
    Ok(number.map_or(MaxInFlight::Auto, MaxInFlight::Fixed))
}

/// `auto`, which is none, or a number from one on.
fn auto_or(raw: &Raw, max: i64) -> Parsed<Option<NonZeroUsize>> {
    if raw.text() == Some("auto") {
        return Ok(None);
    }
    let number = raw.integer().filter(|number| (1..=max).contains(number));
    let number = number.and_then(|number| NonZeroUsize::new(usize::try_from(number).ok()?));
    if number.is_some() {
        return Ok(number);
    }
    let allowed = format!("must be \"auto\" or a whole number from 1 to {max}");
    raw.refuse(&allowed, false)
}

/// `text` or `json`.
pub(crate) fn log_format(raw: &Raw) -> Parsed<LogFormat> {
    match raw.text() {
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        _ => raw.refuse("must be \"text\" or \"json\"", true),
    }
}

/// A path that routes as it is written. Whether another route has it is for those to say who know the routes.
pub(crate) fn metrics_path(raw: &Raw) -> Parsed<String> {
    let allowed = "must start with `/`, have 2 to 128 of the characters A-Z a-z 0-9 . _ ~ - /, \
                   and no empty, `.` or `..` segment";
    text_if(raw, allowed, |text| {
        (2..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._~-/".contains(&byte))
            && text.strip_prefix('/').is_some_and(|rest| {
                rest.split('/')
                    .all(|segment| !matches!(segment, "" | "." | ".."))
            })
    })
}

#[cfg(test)]
mod tests;
