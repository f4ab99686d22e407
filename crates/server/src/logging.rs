//! Logging: `env_logger` with our two formats, written by a thread of its own.

mod format;
mod sink;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use berth_config::{Log, LogFormat};
use berth_metrics::{Metrics, prometheus::IntCounter};
use env_logger::{Target, WriteStyle};

pub(crate) use format::Escaped;
use sink::Sink;

/// The target of access lines, so that a filter can name them: `info,access=off`.
pub(crate) const ACCESS: &str = "access";

/// The running log.
#[derive(Clone)]
pub(crate) struct Logging {
    sink: Arc<Sink>,
    lost: IntCounter,
}

impl Logging {
    /// Starts logging to stderr.
    pub(crate) fn start(settings: &Log) -> anyhow::Result<Self> {
        let lost = IntCounter::new(
            "berth_log_lines_lost_total",
            "Log lines that nobody took in time, or that could not be written.",
        )?;
        let sink = Arc::new(Sink::start(std::io::stderr(), lost.clone())?);
        let mut builder = env_logger::Builder::new();
        builder
            .parse_filters(&settings.filter)
            .write_style(WriteStyle::Never)
            .target(Target::Pipe(Box::new(sink.writer())));
        match settings.format {
            LogFormat::Text => builder.format(format::text),
            LogFormat::Json => builder.format(format::json),
        };
        builder.try_init().context("a logger is already running")?;
        Ok(Self { sink, lost })
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
