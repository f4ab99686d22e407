//! Durations as the contract writes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// The longest text that is taken for a duration, in bytes: `humantime` panics on some sums that
/// need more digits than this to overflow.
pub const MAX_BYTES: usize = 16;

/// One or more numbers, each with its unit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    as = Duration,
    max_length = 16,
    pattern = "^(0|([0-9]+(ns|us|ms|s|m|h|d))+)$",
    examples("250ms", "1m30s")
)]
pub struct Text(pub String);

/// A duration as a client writes it: `250ms`, `1m30s`.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    Some(text)
        .filter(|text| text.len() <= MAX_BYTES)
        .and_then(|text| humantime::parse_duration(text).ok())
}

/// A humane duration in one word, `1m30s`, that `humantime` parses back.
#[must_use]
pub fn compact(duration: Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
}

/// How long something that ends by itself is to last, as a client has asked for it.
///
/// # Errors
///
/// 400, when it is no duration, or too long.
pub fn lasting(
    text: Option<&Text>,
    usual: Duration,
    longest: Duration,
) -> Result<Duration, Problem> {
    let Some(Text(text)) = text else {
        return Ok(usual);
    };
    match parse(text) {
        Some(lasts) if !lasts.is_zero() && lasts <= longest => Ok(lasts),
        _ => Err(Problem::bad_request(format!(
            "for is a duration such as \"10m\", more than 0s and at most {}",
            compact(longest)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_word_and_parses_back() {
        assert_eq!(compact(Duration::ZERO), "0s");
        assert_eq!(compact(Duration::from_secs(90)), "1m30s");
        let long = Duration::from_millis(90_061_005);
        assert_eq!(humantime::parse_duration(&compact(long)).unwrap(), long);
    }

    #[test]
    fn the_documented_length_is_the_one_that_is_held_to() {
        let schema = serde_json::to_value(<Text as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["maxLength"], MAX_BYTES);
    }
}
