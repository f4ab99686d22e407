//! Logging: `env_logger` with our two formats, written by a thread of its own.

mod access_lines;
mod access_log;
mod escape;
mod format;
mod sink;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use berth_kit_http::Temporary;
use env_logger::{Logger, Target, WriteStyle};
use log::LevelFilter;
use prometheus::IntCounter;

pub use access_lines::AccessLines;
pub use access_log::{AccessLog, Probes, refused};
pub use escape::{Escaped, MAX_FIELD_BYTES};
use sink::Sink;

use crate::metrics::{self, Metrics};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which records are written, in `env_logger`'s syntax.
    pub filter: String,
    /// How they are written.
    pub format: Format,
    /// Whether each request is logged.
    pub access: bool,
    /// Whether probes that succeed are logged like any other request; else they are debug records.
    pub probes: bool,
}

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

/// The log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its counter.
    #[error("the log's counter: {0}")]
    Counter(#[from] prometheus::Error),
    /// Its thread.
    #[error("the log's thread: {0}")]
    Thread(#[from] std::io::Error),
    /// There is one.
    #[error("a logger is already running")]
    Running(#[from] log::SetLoggerError),
}

/// The running log.
#[derive(Clone)]
pub struct Logging {
    sink: Arc<Sink>,
    lost: IntCounter,
    logger: Arc<ArcSwap<Logger>>,
    access: Arc<AccessLines>,
    settings: Arc<Mutex<Options>>,
    /// A filter that stands in for that of the settings for a while.
    instead: Arc<Temporary<String>>,
}

/// Which records are written.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Now.
    pub current: String,
    /// By the settings.
    pub settings: String,
    /// How long `current` will last, where it is not that of the settings.
    pub left: Option<Duration>,
}

/// The logger that `log` has for good; it asks the one of the moment.
struct Switch(Arc<ArcSwap<Logger>>);

impl log::Log for Switch {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.load().enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.load().log(record);
    }

    fn flush(&self) {
        self.0.load().flush();
    }
}

impl Logging {
    /// Starts logging to stderr.
    ///
    /// # Errors
    ///
    /// When there is a logger already, or no thread can be started.
    pub fn start(settings: &Options) -> Result<Self, Error> {
        let lost = IntCounter::new(
            "berth_log_lines_lost_total",
            "Log lines that nobody took in time, or that could not be written.",
        )?;
        let sink = Arc::new(Sink::start(std::io::stderr(), lost.clone())?);
        let first = logger(&sink, &settings.filter, settings.format);
        log::set_max_level(first.filter());
        let access = Arc::new(AccessLines::new(sink.writer()));
        access.change(settings, &settings.filter, &first);
        let logger = Arc::new(ArcSwap::from_pointee(first));
        log::set_boxed_logger(Box::new(Switch(Arc::clone(&logger))))?;
        Ok(Self {
            sink,
            lost,
            logger,
            access,
            settings: Arc::new(Mutex::new(settings.clone())),
            instead: Arc::default(),
        })
    }

    /// Logs by other settings from now on. A filter that stands in for theirs stays for its time.
    pub fn change(&self, settings: &Options) {
        settings.clone_into(&mut self.settings());
        self.switch();
    }

    /// Writes by `filter`, which has been checked, for so long. To be called in an actix runtime.
    pub fn filter_for(&self, filter: String, lasts: Duration) {
        let this = self.clone();
        self.instead.set(filter, lasts, move || this.reverted());
        self.switch();
    }

    /// Back to the filter of the settings.
    pub fn revert(&self) {
        if self.instead.end() {
            self.reverted();
        }
    }

    /// The filter now.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let settings = self.settings().filter.clone();
        match self.instead.get() {
            Some(instead) => Filter {
                current: instead.value.clone(),
                settings,
                left: Some(instead.left()),
            },
            None => Filter {
                current: settings.clone(),
                settings,
                left: None,
            },
        }
    }

    fn reverted(&self) {
        self.switch();
        log::warn!(
            "log filter of the settings again: {}",
            self.settings().filter
        );
    }

    /// Has the filter and the format of the moment in force.
    fn switch(&self) {
        // Held to the end, so that of two changes at once the later one stays.
        let settings = self.settings();
        let instead = self.instead.get();
        let filter = instead
            .as_ref()
            .map_or(&settings.filter, |instead| &instead.value);
        let next = logger(&self.sink, filter, settings.format);
        let level = next.filter();
        self.access.change(&settings, filter, &next);
        self.logger.store(Arc::new(next));
        log::set_max_level(level);
    }

    fn settings(&self) -> MutexGuard<'_, Options> {
        // They are whole between any two statements, so a panic elsewhere cannot spoil them.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way into the log for the lines of requests.
    #[must_use]
    pub fn access_lines(&self) -> Arc<AccessLines> {
        Arc::clone(&self.access)
    }

    /// Exposes the count of lost lines.
    ///
    /// # Errors
    ///
    /// When that has been done.
    pub fn register(&self, metrics: &Metrics) -> Result<(), metrics::Error> {
        metrics.register(self.lost.clone())
    }

    /// Waits until everything logged so far is written, but no longer than `limit`: a log that
    /// nobody reads must not keep the process from ending.
    pub fn flush(&self, limit: Duration) {
        self.sink.flush(limit);
    }
}

/// What is not heard unless the filter names it: the watcher of the settings file warns, and tells with `info`,
/// that a folder which the kubelet has removed can no longer be watched. That is every change of a mounted
/// `ConfigMap`; what goes wrong, it tells by its results.
const NOT_HEARD: [&str; 1] = ["notify"];

fn logger(sink: &Sink, filter: &str, format: Format) -> Logger {
    let mut builder = env_logger::Builder::new();
    for module in NOT_HEARD {
        builder.filter_module(module, LevelFilter::Off);
    }
    if filter.starts_with('/') {
        // What env_logger takes where only a text is given, and nothing else is known.
        builder.filter_level(LevelFilter::Error);
    }
    builder
        .parse_filters(filter)
        .write_style(WriteStyle::Never)
        .target(Target::Pipe(Box::new(sink.writer())));
    match format {
        Format::Text => builder.format(format::text),
        Format::Json => builder.format(format::json),
    };
    builder.build()
}

/// Sends panics to the log, and counts them.
pub fn log_panics(on_panic: impl Fn() + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        on_panic();
        let thread = std::thread::current();
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        log::error!(
            target: "panic",
            "thread '{}' panicked at {place}: {message}",
            thread.name().unwrap_or("unnamed")
        );
    }));
}
