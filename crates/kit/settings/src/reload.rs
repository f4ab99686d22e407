//! What a running process can take of settings that have changed.

use std::collections::BTreeMap;

use crate::entry::Entry;
use crate::load::Loaded;
use crate::settings::{Server, Settings};

/// The keys that apply without a restart. The others are built into what has been started: a bound
/// port, a number of threads, a set of routes.
pub(crate) const LIVE: [&str; 9] = [
    "server.request_timeout",
    "shutdown.drain_delay",
    "shutdown.timeout",
    "shutdown.grace_period",
    "readiness.checks",
    "log.filter",
    "log.format",
    "log.access",
    "log.probes",
];

/// What becomes of a process's settings when they are read again.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// What holds from now on: the keys that apply at once as they were read, all others as they
    /// were.
    pub loaded: Loaded,
    /// The changed keys that a restart would bring into force, as they were read.
    pub pending: Vec<Entry>,
}

impl Loaded {
    /// What becomes of these settings, which are in force, when `read` comes after them.
    #[must_use]
    pub fn reload(&self, read: Self) -> Reloaded {
        let mut pending = Vec::new();
        let running = &self.settings;
        let settings = Settings {
            server: Server {
                request_timeout: read.settings.server.request_timeout,
                ..running.server.clone()
            },
            shutdown: read.settings.shutdown,
            readiness: read.settings.readiness,
            log: read.settings.log,
            app: running.app.clone(),
            metrics: running.metrics.clone(),
            management: running.management.clone(),
            debug: running.debug.clone(),
        };
        let mut all: BTreeMap<_, _> = read
            .entries
            .into_iter()
            .map(|entry| (entry.key.clone(), entry))
            .collect();
        let entries = self
            .entries
            .iter()
            .map(|running| {
                let read = all.remove(&running.key).unwrap_or_else(|| running.clone());
                let is_same =
                    (&read.value, read.fingerprint) == (&running.value, running.fingerprint);
                if LIVE.contains(&&*read.key) || is_same {
                    read
                } else {
                    pending.push(read);
                    running.clone()
                }
            })
            .collect();
        Reloaded {
            loaded: Self {
                settings,
                entries,
                ignored: read.ignored,
            },
            pending,
        }
    }
}
