//! What the log's filter may be: what `env_logger` takes, less what would silence the log by mistake. `warning` is a
//! target to it, at every level, and the only one that is logged.

use super::layers::Raw;
use super::meant::distance;
use super::parse::{has_chars, text_if};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What other loggers call them.
const OTHERS: [(&str, &str); 12] = [
    ("none", "off"),
    ("disabled", "off"),
    ("critical", "error"),
    ("fatal", "error"),
    ("severe", "error"),
    ("warning", "warn"),
    ("information", "info"),
    ("notice", "info"),
    ("verbose", "trace"),
    ("all", "trace"),
    ("finest", "trace"),
    ("silly", "trace"),
];

/// A level, and levels by target.
pub(crate) fn log_filter(raw: &Raw) -> Result<String, String> {
    let filter = text_if(
        raw,
        "must be a log filter such as `info` or `info,berth_kit=debug`",
        |text| {
            has_chars(text, 1..=1024)
                && !text.trim().is_empty()
                && env_filter::Builder::new().try_parse(text).is_ok()
        },
    )?;
    mistake(&filter).map_or(Ok(filter), Err)
}

/// What is wrong with a filter that can be parsed.
fn mistake(filter: &str) -> Option<String> {
    let directives = filter.split('/').next().unwrap_or_default();
    let parts: Vec<_> = directives.split(',').map(str::trim).collect();
    let is_level = |part: &&str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    let has_level = parts.iter().any(is_level);
    for part in parts
        .into_iter()
        .filter(|part| !part.is_empty() && !is_level(part))
    {
        let target = part.split('=').next().unwrap_or_default().trim();
        if part.contains('=') {
            continue;
        }
        if let Some((level, rest)) = target
            .split_once(':')
            .filter(|(level, rest)| is_level(level) && !rest.starts_with(':'))
        {
            return Some(format!(
                "`{part}` is no level; did you mean `{level},{rest}={level}`?"
            ));
        }
        if let Some(level) = meant(target) {
            return Some(format!("`{part}` is no level; did you mean `{level}`?"));
        }
        if !has_level {
            return Some(format!(
                "has no level, so that nothing but `{part}` would be logged: write `info,{part}=trace`"
            ));
        }
    }
    None
}

/// The level that somebody has meant who wrote this.
fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    if let Some((_, level)) = OTHERS.iter().find(|(other, _)| *other == word) {
        return Some(level);
    }
    // `debugg`, `inf`, `wran`: a target is longer, or has a path.
    let near = LEVELS.iter().map(|level| (distance(level, &word), *level));
    near.min()
        .filter(|(far, level)| *far <= 2 && *far < level.len() - 1 && word.len() <= 7)
        .map(|(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<String, String> {
        log_filter(&Raw::Text(text.into()))
    }

    #[test]
    fn what_names_a_level_is_a_filter() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,berth_kit=debug",
            "berth::http=trace",
            "access=off,info",
            "info,hyper",
            "info/needle",
            "info/warning",
            " info , hyper = debug ",
        ] {
            assert_eq!(taken(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_none() {
        let long = "a".repeat(1025);
        for text in ["", " ", "a=b", "a=b=c", "info/a/b", "in\nfo", &long] {
            let fault = taken(text).unwrap_err();
            assert!(fault.starts_with("must be a log filter"), "{text}: {fault}");
        }
    }

    #[test]
    fn a_mistake_that_would_silence_the_log_is_told() {
        for (text, says) in [
            ("warning", "did you mean `warn`?"),
            ("WARNING", "did you mean `warn`?"),
            ("debugg", "did you mean `debug`?"),
            ("wran", "did you mean `warn`?"),
            ("information", "did you mean `info`?"),
            ("none", "did you mean `off`?"),
            ("critical", "did you mean `error`?"),
            ("warning,berth_kit=debug", "did you mean `warn`?"),
            ("info:berth", "did you mean `info,berth=info`?"),
            ("berth_kit", "write `info,berth_kit=trace`"),
            ("hyper,tokio", "write `info,hyper=trace`"),
        ] {
            let fault = taken(text).expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }
}
