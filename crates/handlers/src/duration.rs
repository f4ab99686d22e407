//! Durations as the contract writes them.

use std::time::Duration;

/// A humane duration in one word, `1m30s`, that `humantime` parses back.
pub(crate) fn compact(duration: Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
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
}
