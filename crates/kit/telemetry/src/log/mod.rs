//! Logging: `env_logger` with our two formats, written by a thread of its own.

mod access;
mod format;
mod sink;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use berth_kit_settings::{Log, LogFormat};
use berth_metrics::{Metrics, prometheus::IntCounter};
use env_logger::{Logger, Target, WriteStyle};

pub(crate) use access::{AccessLines, push_json, push_number};
pub(crate) use format::Escaped;
use sink::Sink;

/// The running log.
#[derive(Clone)]
pub(crate) struct Logging {
    sink: Arc<Sink>,
    lost: IntCounter,
    logger: Arc<ArcSwap<Logger>>,
    access: Arc<AccessLines>,
    control: Arc<Mutex<Control>>,
}

/// What the logger was made from.
struct Control {
    settings: Log,
    /// A filter that stands in for that of the settings for a while.
    instead: Option<Instead>,
    /// How many of those there have been.
    count: u64,
}

struct Instead {
    filter: String,
    until: Instant,
    number: u64,
}

/// Which records are written.
pub(crate) struct Filter {
    pub(crate) current: String,
    pub(crate) settings: String,
    /// How long `current` will last, where it is not that of the settings.
    pub(crate) left: Option<Duration>,
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
    pub(crate) fn start(settings: &Log) -> anyhow::Result<Self> {
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
        log::set_boxed_logger(Box::new(Switch(Arc::clone(&logger))))
            .context("a logger is already running")?;
        Ok(Self {
            sink,
            lost,
            logger,
            access,
            control: Arc::new(Mutex::new(Control {
                settings: settings.clone(),
                instead: None,
                count: 0,
            })),
        })
    }

    /// Logs by other settings from now on. A filter that stands in for theirs stays for its time.
    pub(crate) fn change(&self, settings: &Log) {
        let mut control = self.control();
        control.settings = settings.clone();
        self.switch(&control);
    }

    /// Writes by `filter`, which has been checked, for so long. Returns the number by which
    /// [`revert`](Self::revert) knows it.
    pub(crate) fn filter_for(&self, filter: String, lasts: Duration) -> u64 {
        let mut control = self.control();
        control.count += 1;
        let number = control.count;
        control.instead = Some(Instead {
            filter,
            until: Instant::now() + lasts,
            number,
        });
        self.switch(&control);
        number
    }

    /// Back to the filter of the settings; with a number, only if no other filter has come since.
    pub(crate) fn revert(&self, number: Option<u64>) -> bool {
        let mut control = self.control();
        let reverts = control
            .instead
            .as_ref()
            .is_some_and(|instead| number.is_none_or(|number| number == instead.number));
        if reverts {
            control.instead = None;
            self.switch(&control);
        }
        reverts
    }

    /// The filter now.
    pub(crate) fn filter(&self) -> Filter {
        let control = self.control();
        let settings = control.settings.filter.clone();
        match &control.instead {
            Some(instead) => Filter {
                current: instead.filter.clone(),
                settings,
                left: Some(instead.until.saturating_duration_since(Instant::now())),
            },
            None => Filter {
                current: settings.clone(),
                settings,
                left: None,
            },
        }
    }

    fn switch(&self, control: &Control) {
        let filter = control
            .instead
            .as_ref()
            .map_or(&control.settings.filter, |instead| &instead.filter);
        let next = logger(&self.sink, filter, control.settings.format);
        let level = next.filter();
        self.access.change(&control.settings, filter, &next);
        self.logger.store(Arc::new(next));
        log::set_max_level(level);
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // It is whole between any two statements, so a panic elsewhere cannot spoil it.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way into the log for the lines of requests.
    pub(crate) fn access_lines(&self) -> Arc<AccessLines> {
        Arc::clone(&self.access)
    }

    /// Exposes the count of lost lines.
    pub(crate) fn register(&self, metrics: &Metrics) -> Result<(), berth_metrics::Error> {
        metrics.register(self.lost.clone())
    }

    /// Waits until everything logged so far is written, but no longer than `limit`: a log that
    /// nobody reads must not keep the process from ending.
    pub(crate) fn flush(&self, limit: Duration) {
        self.sink.flush(limit);
    }
}

fn logger(sink: &Sink, filter: &str, format: LogFormat) -> Logger {
    let mut builder = env_logger::Builder::new();
    builder
        .parse_filters(filter)
        .write_style(WriteStyle::Never)
        .target(Target::Pipe(Box::new(sink.writer())));
    match format {
        LogFormat::Text => builder.format(format::text),
        LogFormat::Json => builder.format(format::json),
    };
    builder.build()
}

/// Sends panics to the log, and counts them.
pub(crate) fn log_panics(on_panic: impl Fn() + Send + Sync + 'static) {
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
