//! The watch on the settings file.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

use super::LOOK_ANYWAY;

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// Tells of changes in the folders through which the file is reached.
pub(super) struct Watch {
    file: PathBuf,
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// `None`, and a word in the log, where the system has no way to tell.
    pub(super) fn start(file: PathBuf, changed: Arc<Notify>) -> Option<Self> {
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
    pub(super) fn follow(&mut self) {
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
