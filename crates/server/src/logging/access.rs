//! The short way into the log, for the lines of requests.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use berth_config::{Log, LogFormat};
use env_logger::Logger;
use humantime::format_rfc3339_seconds;
use log::{Level, Log as _, Metadata};

use super::sink::LineWriter;

/// The target of access lines, so that a filter can name them: `info,access=off`.
const ACCESS: &str = "access";

const OFF: u8 = 0;
const TEXT: u8 = 1;
const JSON: u8 = 2;
/// With one of the formats: only lines that contain the filter's text.
const SOME: u8 = 4;

/// What stands before the message in a line for people.
const BEFORE_MESSAGE: usize = "2026-01-02T03:04:05.678901Z INFO  ".len();

/// Whether and how the lines of requests are written.
///
/// The settings and the filter have their say when they change; all that a request has to look at is
/// one byte.
pub(crate) struct AccessLines {
    how: AtomicU8,
    /// What a line must contain, after the `/` of a filter such as `info/health`.
    needle: ArcSwap<String>,
    writer: LineWriter,
}

impl AccessLines {
    pub(super) fn new(writer: LineWriter) -> Self {
        Self {
            how: AtomicU8::new(OFF),
            needle: ArcSwap::default(),
            writer,
        }
    }

    /// Takes over what the settings, and a logger made from `filter`, say.
    pub(super) fn change(&self, settings: &Log, filter: &str, logger: &Logger) {
        let metadata = Metadata::builder()
            .level(Level::Info)
            .target(ACCESS)
            .build();
        let mut how = match settings.format {
            _ if !settings.access || !logger.enabled(&metadata) => OFF,
            LogFormat::Text => TEXT,
            LogFormat::Json => JSON,
        };
        if let Some((_, needle)) = filter.split_once('/')
            && how != OFF
        {
            self.needle.store(Arc::new(needle.to_owned()));
            how |= SOME;
        }
        self.how.store(how, Ordering::Release);
    }

    /// Whether a line would be written.
    pub(crate) fn wanted(&self) -> bool {
        self.how.load(Ordering::Relaxed) != OFF
    }

    /// Writes the line that `make` puts into the empty `buffer`.
    pub(crate) fn put(&self, buffer: &mut Vec<u8>, mut make: impl FnMut(LogFormat, &mut Vec<u8>)) {
        let how = self.how.load(Ordering::Acquire);
        let format = match how & !SOME {
            OFF => return,
            TEXT => LogFormat::Text,
            _ => LogFormat::Json,
        };
        if how & SOME != 0 {
            // As for any other record, it is the message for people that is searched.
            make(LogFormat::Text, buffer);
            let message = buffer.get(BEFORE_MESSAGE..).unwrap_or_default();
            let found = String::from_utf8_lossy(message).contains(self.needle.load().as_str());
            buffer.clear();
            if !found {
                return;
            }
        }
        make(format, buffer);
        self.writer.put(buffer);
    }
}

/// Writes times as RFC 3339 with microseconds, and remembers the text of the second: the same for
/// some thousand lines.
#[derive(Default)]
pub(crate) struct Timestamp {
    second: Option<u64>,
    /// `2026-01-02T03:04:05.`
    text: Vec<u8>,
}

impl Timestamp {
    /// Appends `2026-01-02T03:04:05.678901Z`.
    pub(crate) fn push(&mut self, line: &mut Vec<u8>, time: SystemTime) {
        // A clock before 1970 is not set; no line is worth a panic.
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text.clear();
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
            // A vector takes everything. Only a clock past the year 9999 has no such text.
            let _ = write!(self.text, "{}", format_rfc3339_seconds(second));
            self.text.pop();
            self.text.push(b'.');
        }
        line.extend_from_slice(&self.text);
        // A million more, so that the zeros in front are there.
        let micros = 1_000_000 + since.subsec_micros();
        line.extend_from_slice(&itoa::Buffer::new().format(micros).as_bytes()[1..]);
        line.push(b'Z');
    }
}

/// Appends a number in digits.
pub(crate) fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `text` as a JSON string.
pub(crate) fn push_json(line: &mut Vec<u8>, text: &str) {
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    // Most is as it was sent, and then one look and one copy do.
    if text.as_bytes().iter().all(plain) {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        // A vector takes everything, and every string can be one in JSON.
        let _ = serde_json::to_writer(line, text);
    }
}

#[cfg(test)]
mod tests {
    use humantime::format_rfc3339_micros;

    use super::*;

    #[test]
    fn times_are_those_of_humantime() {
        let mut timestamp = Timestamp::default();
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
            let mut line = Vec::new();
            timestamp.push(&mut line, time);
            let expected = format_rfc3339_micros(time).to_string();
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    #[test]
    fn strings_are_those_of_serde_json() {
        for text in ["", "plain", "é✓", "\"", "\\", "\n", "\u{7f}", "a\u{1b}[2J"] {
            let mut line = Vec::new();
            push_json(&mut line, text);
            assert_eq!(line, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }
}
