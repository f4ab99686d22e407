//! The short way into the log, for the lines of requests.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use arc_swap::ArcSwap;
use env_logger::Logger;
use log::{Level, Log as _, Metadata};

use super::{Format, Options, sink::LineWriter};

/// The target of access lines, so that a filter can name them: `info,access=off`.
const ACCESS: &str = "access";

const OFF: u8 = 0;
const TEXT: u8 = 1;
const JSON: u8 = 2;
/// With one of the formats: only lines that contain the filter's text.
const SOME: u8 = 4;
/// With one of the formats: probes that succeed, too, like any other request.
const PROBES: u8 = 8;
/// With one of the formats: probes that succeed, too, as what is for debugging.
const PROBES_AT_DEBUG: u8 = 16;
const FORMAT: u8 = TEXT | JSON;

/// What stands before the message in a line for people.
const BEFORE_MESSAGE: usize = "2026-01-02T03:04:05.678901Z INFO  ".len();

/// Whether and how the lines of requests are written.
///
/// The settings and the filter have their say when they change; all that a request has to look at is
/// one byte.
pub struct AccessLines {
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
    pub(super) fn change(&self, settings: &Options, filter: &str, logger: &Logger) {
        let enabled = |level| {
            let metadata = Metadata::builder().level(level).target(ACCESS).build();
            settings.access && logger.enabled(&metadata)
        };
        let mut how = match settings.format {
            _ if !enabled(Level::Info) => OFF,
            Format::Text => TEXT,
            Format::Json => JSON,
        };
        if how != OFF && settings.probes {
            how |= PROBES;
        } else if enabled(Level::Debug) {
            how |= PROBES_AT_DEBUG;
        }
        if let Some((_, needle)) = filter.split_once('/')
            && how != OFF
        {
            self.needle.store(Arc::new(needle.to_owned()));
            how |= SOME;
        }
        self.how.store(how, Ordering::Release);
    }

    /// Whether a line would be written.
    #[must_use]
    pub(crate) fn wanted(&self) -> bool {
        self.how.load(Ordering::Relaxed) != OFF
    }

    /// The level of a probe that succeeded; `None` where it has no line.
    pub(crate) fn level_of_probes(&self) -> Option<Level> {
        match self.how.load(Ordering::Relaxed) & (PROBES | PROBES_AT_DEBUG) {
            0 => None,
            PROBES => Some(Level::Info),
            _ => Some(Level::Debug),
        }
    }

    /// Writes the line that `make` puts into the empty `buffer`.
    pub(crate) fn put(&self, buffer: &mut Vec<u8>, mut make: impl FnMut(Format, &mut Vec<u8>)) {
        let how = self.how.load(Ordering::Acquire);
        let format = match how & FORMAT {
            OFF => return,
            TEXT => Format::Text,
            _ => Format::Json,
        };
        if how & SOME != 0 {
            // As for any other record, it is the message for people that is searched.
            make(Format::Text, buffer);
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

/// Appends a number in digits.
pub(crate) fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
