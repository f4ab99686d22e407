//! Settings that change while the service runs: when the settings file does, and at SIGHUP.
//!
//! Kubernetes changes a mounted `ConfigMap` by turning one symbolic link, `..data`, from one folder to
//! the next, so what is watched is not the file but the folders it is reached through.

mod watch;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_rt::{
    signal::unix::Signal,
    task::{JoinError, spawn_blocking},
    time::timeout,
};
use arc_swap::ArcSwap;
use berth_kit_health::{CheckError, Checks, Phase, readiness::CheckState};
use berth_kit_settings::{Error, Loaded, Reloaded, Sources, file_is_empty};
use berth_kit_telemetry::{
    log::Logging,
    metrics::{self, Metrics},
    prometheus::{Gauge, IntCounterVec, IntGauge, Opts},
};
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use watch::Watch;

use crate::{
    app::{AppState, MountError, metrics_path},
    console::with_causes,
    devtools,
    logging::log_options,
};

/// What holds now, and what waits for a restart.
pub(crate) type InForce = Arc<ArcSwap<Reloaded>>;

/// A change is taken once nothing has happened for so long.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// And after so long in any case.
const DEBOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// How often to look without having been told: a network file system tells nothing, and a folder
/// that was removed and made again is another one.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Why to read the settings again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Somebody asked for it.
    Hangup,
    /// The file may have changed.
    File,
}

/// Why settings that were read are not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Settings(#[from] Error),
    /// Truncated, most likely, by whoever is about to write it.
    #[error(
        "the file is empty, as if it were being written; to go back to the defaults, leave a comment in it"
    )]
    Empty,
    /// A restart would not come up.
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// It panicked.
    #[error(transparent)]
    Reading(#[from] JoinError),
}

/// Where the settings come from, and how they are read, with the service's own.
pub(crate) struct SettingsReader {
    pub(crate) sources: Sources,
    pub(crate) read: fn(&Sources) -> Result<Loaded, Error>,
}

/// Reads the settings again, and puts them into force.
pub(crate) struct Reloader {
    pub(crate) reader: SettingsReader,
    pub(crate) in_force: InForce,
    pub(crate) checks: Checks,
    pub(crate) state: AppState,
    pub(crate) logging: Logging,
    pub(crate) figures: Figures,
    /// SIGHUP.
    pub(crate) hangups: Signal,
}

impl Reloader {
    /// Waits for changes, until the process is to stop.
    pub(crate) async fn run(mut self) {
        let changed = Arc::new(Notify::new());
        // It may have changed since it was read, when nobody was watching yet.
        changed.notify_one();
        let mut watch = self
            .reader
            .sources
            .file
            .clone()
            .and_then(|file| Watch::start(file, Arc::clone(&changed)));
        // What was refused last, so that it is not told again and again.
        let mut refused = None;
        loop {
            let reason = {
                let hangup = pin!(self.hangups.recv());
                let file = pin!(async {
                    if self.reader.sources.file.is_some() {
                        // Either way there may be something new.
                        let _ = timeout(LOOK_ANYWAY, debounced(&changed)).await;
                    } else {
                        std::future::pending::<()>().await;
                    }
                });
                match select(hangup, file).await {
                    Either::Left(_) => Reason::Hangup,
                    Either::Right(_) => Reason::File,
                }
            };
            // A stop goes on by the settings that it began with.
            if self.state.health.phase() == Phase::ShuttingDown {
                return;
            }
            self.reload(reason, &mut refused).await;
            if let Some(watch) = &mut watch {
                watch.follow();
            }
        }
    }

    async fn reload(&mut self, reason: Reason, refused: &mut Option<String>) {
        match self.read(reason == Reason::File && refused.is_none()).await {
            Ok(None) => {}
            Ok(Some(next)) => {
                *refused = None;
                self.put_into_force(next, reason);
            }
            Err(why) => {
                let lines = why.lines();
                let text = lines.join("\n");
                if reason == Reason::File && refused.as_ref() == Some(&text) {
                    return;
                }
                *refused = Some(text);
                self.figures.failed();
                for line in lines {
                    log::error!("settings not reloaded, the old ones stay in force: {line}");
                }
            }
        }
    }

    /// What would be in force next; `None` where that is what is in force, and nobody wants to know.
    async fn read(&mut self, only_changes: bool) -> Result<Option<Reloaded>, Refused> {
        let SettingsReader { sources, read } = &self.reader;
        let (sources, read) = (sources.clone(), *read);
        // A file system that hangs must not keep this thread from its signals.
        let (read, is_empty) = spawn_blocking(move || {
            let is_empty = sources.file.as_deref().is_some_and(file_is_empty);
            (read(&sources), is_empty)
        })
        .await?;
        let read = read?;
        // These wait for a restart, which would not come up.
        devtools::needed(&read)?;
        metrics_path::beside_the_kit(&read).await?;
        metrics_path::beside_the_service(&read, &self.state.own)?;
        let before = self.in_force.load();
        let next = before.loaded.reload(read);
        let same = next == **before;
        if same && only_changes {
            return Ok(None);
        }
        if is_empty && !same {
            return Err(Refused::Empty);
        }
        let checks = &next.loaded.settings.readiness.checks;
        self.checks.change(checks, CheckState::late)?;
        Ok(Some(next))
    }

    fn put_into_force(&self, next: Reloaded, reason: Reason) {
        let before = self.in_force.load_full();
        let settings = &next.loaded.settings;
        self.state.health.depend_on(self.checks.watched());
        self.state
            .limits
            .timeout
            .set(settings.server.request_timeout);
        self.state
            .metrics
            .set_shutdown_timeout(settings.shutdown.timeout);
        if settings.log != before.loaded.settings.log {
            self.logging.change(&log_options(&settings.log));
        }

        let changes = changes(&before.loaded, &next.loaded);
        let next = Arc::new(next);
        // Before it is told: who reads of it finds it in force, and counted.
        self.in_force.store(Arc::clone(&next));
        self.figures.succeeded();
        let reason = match reason {
            Reason::Hangup => "SIGHUP",
            Reason::File => "the file has changed",
        };
        if changes.is_empty() {
            log::info!("settings reloaded ({reason}): nothing new is in force");
        }
        for change in changes {
            log::info!("settings reloaded ({reason}): {change}");
        }
        for entry in &next.pending {
            log::warn!(
                "settings reloaded ({reason}): {} = {} ({}) needs a restart",
                entry.key,
                entry.value,
                entry.origin
            );
        }
    }
}

/// The keys that differ, with their new values.
fn changes(before: &Loaded, next: &Loaded) -> Vec<String> {
    let mut changes: Vec<_> = before
        .entries
        .iter()
        .zip(&next.entries)
        .filter(|(before, next)| before.value != next.value)
        .map(|(_, next)| format!("{} = {}", next.key, next.value))
        .collect();
    // A password that is not shown can be all that is new.
    if changes.is_empty() && before.settings.readiness != next.settings.readiness {
        changes.push("readiness.checks, in what is masked".to_owned());
    }
    changes
}

/// Waits for a change, and until nothing has happened for [`DEBOUNCE`].
async fn debounced(changed: &Notify) {
    changed.notified().await;
    let _ = timeout(DEBOUNCE_LIMIT, async {
        while timeout(DEBOUNCE, changed.notified()).await.is_ok() {}
    })
    .await;
}

impl Refused {
    /// Each fault on a line of its own.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Settings(Error::Invalid(faults))
            | Self::Mount(MountError::Settings(Error::Invalid(faults))) => {
                faults.iter().map(ToString::to_string).collect()
            }
            Self::Settings(error) | Self::Mount(MountError::Settings(error)) => {
                vec![error.to_string()]
            }
            error => vec![with_causes(error)],
        }
    }
}

/// What a scrape sees of reloads.
pub(crate) struct Figures {
    reloads: IntCounterVec,
    last_success: Gauge,
    successful: IntGauge,
}

impl Figures {
    /// The start counts as a success, but not as a reload.
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, metrics::Error> {
        let figures = Self {
            reloads: IntCounterVec::new(
                Opts::new(
                    "berth_config_reloads_total",
                    "Times that the settings were read again.",
                ),
                &["result"],
            )?,
            last_success: Gauge::new(
                "berth_config_last_reload_success_timestamp_seconds",
                "When settings were last taken, at the start or later.",
            )?,
            successful: IntGauge::new(
                "berth_config_last_reload_successful",
                "1 where the last settings that were read are in force, else 0.",
            )?,
        };
        for result in ["success", "failure"] {
            figures.reloads.with_label_values(&[result]);
        }
        figures.now();
        metrics.register(figures.reloads.clone())?;
        metrics.register(figures.last_success.clone())?;
        metrics.register(figures.successful.clone())?;
        Ok(figures)
    }

    fn succeeded(&self) {
        self.reloads.with_label_values(&["success"]).inc();
        self.now();
    }

    fn failed(&self) {
        self.reloads.with_label_values(&["failure"]).inc();
        self.successful.set(0);
    }

    fn now(&self) {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.last_success
            .set(since_epoch.map_or(0.0, |since| since.as_secs_f64()));
        self.successful.set(1);
    }
}
