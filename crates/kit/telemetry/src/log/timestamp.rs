//! Times in answers and log lines: RFC 3339 in UTC.
//!
//! Most requests need one or two, and to work out a date takes longer than anything else in a small
//! answer. So each thread remembers the text of the second, which some thousand requests share.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

thread_local! {
    static SECOND: RefCell<Second> = const { RefCell::new(Second { since: None, text: String::new() }) };
}

struct Second {
    /// Since 1970.
    since: Option<u64>,
    /// `2026-01-02T03:04:05.`
    text: String,
}

/// `2026-01-02T03:04:05.678Z`
#[must_use]
pub fn millis(time: SystemTime) -> String {
    let mut text = Vec::with_capacity(24);
    push(&mut text, time, |since| 1_000 + since.subsec_millis());
    String::from_utf8(text).unwrap_or_default()
}

/// Appends `2026-01-02T03:04:05.678901Z`.
pub fn push_micros(line: &mut Vec<u8>, time: SystemTime) {
    push(line, time, |since| 1_000_000 + since.subsec_micros());
}

/// `fraction` has a 1 in front, so that its zeros are there.
fn push(out: &mut Vec<u8>, time: SystemTime, fraction: impl Fn(Duration) -> u32) {
    // Before 1970 a clock has not been set yet, and no answer is worth a panic.
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|second| {
        if second.since != Some(since.as_secs()) {
            second.begin(since.as_secs());
        }
        out.extend_from_slice(second.text.as_bytes());
    });
    out.extend_from_slice(&itoa::Buffer::new().format(fraction(since)).as_bytes()[1..]);
    out.push(b'Z');
}

impl Second {
    fn begin(&mut self, since: u64) {
        use std::fmt::Write as _;

        self.since = Some(since);
        self.text.clear();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(since);
        // Past the year 9999 there is no such text.
        let _ = write!(self.text, "{}", humantime::format_rfc3339_seconds(time));
        // Its Z comes after the fraction.
        self.text.pop();
        self.text.push('.');
    }
}

#[cfg(test)]
mod tests {
    use humantime::{format_rfc3339_micros, format_rfc3339_millis};

    use super::*;

    #[test]
    fn are_those_of_humantime() {
        for micros in [
            0,
            1,
            999_999,
            1_000_000,
            1_795_651_200_000_001,
            1_795_651_200_100_000,
            1_795_651_201_000_000,
            // The clock was set back.
            1_000_000_000_000_000,
            253_402_300_799_999_999,
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
            assert_eq!(millis(time), format_rfc3339_millis(time).to_string());
            let mut line = Vec::new();
            push_micros(&mut line, time);
            let expected = format_rfc3339_micros(time).to_string();
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
