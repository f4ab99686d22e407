//! Settings that change while the service runs: when the settings file does, and at SIGHUP.
//!
//! Kubernetes changes a mounted `ConfigMap` by turning one symbolic link, `..data`, from one folder to
//! the next, so what is watched is not the file but the folders it is reached through.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_rt::{signal::unix::Signal, task::spawn_blocking, time::timeout};
use arc_swap::ArcSwap;
use berth_kit_health::{Checks, Phase, readiness::CheckState};
use berth_kit_settings::{Error, Loaded, Reloaded, Sources, file_is_empty};
use berth_kit_telemetry::{
    log::Logging,
    metrics::{self, Metrics},
    prometheus::{Gauge, IntCounterVec, IntGauge, Opts},
};
use futures_util::future::{Either, select};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

use crate::{
    app::{AppState, metrics_path},
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

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// Why to read the settings again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Somebody asked for it.
    Hangup,
    /// The file may have changed.
    File,
}

/// Why settings that were read are not taken.
enum Refused {
    Settings(Error),
    /// Truncated, most likely, by whoever is about to write it.
    Empty,
    Other(anyhow::Error),
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
        .await
        .map_err(|error| Refused::Other(error.into()))?;
        let read = read.map_err(Refused::Settings)?;
        // It waits for a restart, which would not come up.
        metrics_path::beside_the_kit(&read).await?;
        metrics_path::beside_the_service(&read, &self.state.own).map_err(Refused::Settings)?;
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
        self.checks
            .change(checks, CheckState::late)
            .map_err(|error| Refused::Other(error.into()))?;
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
        self.in_force.store(Arc::new(next));
        self.figures.succeeded();
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

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().map_or_else(Self::Other, Self::Settings)
    }
}

impl Refused {
    /// Each fault on a line of its own.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Settings(Error::Invalid(faults)) => {
                faults.iter().map(ToString::to_string).collect()
            }
            Self::Settings(error) => vec![error.to_string()],
            Self::Empty => vec![
                "the file is empty, as if it were being written; to go back to the defaults, leave a comment in it"
                    .to_owned(),
            ],
            Self::Other(error) => vec![format!("{error:#}")],
        }
    }
}

/// Tells of changes in the folders through which the file is reached.
struct Watch {
    file: PathBuf,
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// `None`, and a word in the log, where the system has no way to tell.
    fn start(file: PathBuf, changed: Arc<Notify>) -> Option<Self> {
        let told = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| {
                let every = humantime::format_duration(LOOK_ANYWAY);
                log::warn!("settings: the file is looked at only every {every}: {error}");
            })
            .ok()?;
        let mut watch = Self {
            file,
            watcher,
            folders: BTreeSet::new(),
        };
        watch.follow();
        Some(watch)
    }

    /// Watches the folders that the file is in now: the one it is named in, and those that links lead
    /// through. A folder that is not there, or cannot be watched, is tried again at the next look.
    fn follow(&mut self) {
        let mut folders = BTreeSet::new();
        let mut file = self.file.clone();
        for _ in 0..MAX_LINKS {
            let folder = match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                _ => PathBuf::from("."),
            };
            folders.extend(fs::canonicalize(&folder));
            match fs::read_link(&file) {
                Ok(target) => file = folder.join(target),
                Err(_) => break,
            }
        }
        for gone in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(gone);
        }
        for folder in &folders {
            // Again, where it is watched already: it may be another folder of the same name.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                log::debug!("settings: cannot watch {}: {error}", folder.display());
            }
        }
        self.folders = folders;
    }
}

/// Whether something may be new. To read the file is an event, too.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
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
