//! File descriptors: every connection takes one, and the system grants a process only so many.
//!
//! Once they are used up, nothing can be accepted on either port, and actix waits half a second
//! before it tries again. So there are never more connections than descriptors for them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process has open beside its connections: listeners, signals, the watch on the settings,
/// what the logs and a scrape read and write, and one more connection a worker, because actix
/// divides their number among the workers and rounds up.
const OWN: usize = 32;

/// What a worker has open: its event queue, what wakes it up, and the rest of its runtime.
const PER_WORKER: usize = 4;

/// What a readiness check has open: its connection, and for a moment the next one.
const PER_CHECK: usize = 2;

/// Takes as many descriptors as the system will grant: the soft limit is for programs that still
/// use `select`. How many that are; `None` is no limit.
pub(crate) fn raise_limit() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    granted.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections each port may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) public: usize,
    /// 0 where there is no management port.
    pub(crate) private: usize,
}

impl Connections {
    /// As many of those wanted as `limit` descriptors allow. The management port gets at most an
    /// eighth, but that before the public one: it is where operators look when all else is taken.
    pub(crate) fn within(self, limit: Option<usize>, workers: usize, checks: usize) -> Self {
        let Some(limit) = limit else { return self };
        let own = OWN + PER_WORKER * workers + PER_CHECK * checks;
        let left = limit.saturating_sub(own);
        let private = self.private.min((left / 8).max(1));
        Self {
            public: self.public.min(left.saturating_sub(private)).max(1),
            private,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Connections;

    fn within(limit: Option<usize>, public: usize, private: usize) -> (usize, usize) {
        let Connections { public, private } = Connections { public, private }.within(limit, 2, 1);
        (public, private)
    }

    #[test]
    fn the_settings_hold_where_the_system_allows_it() {
        assert_eq!(within(None, 25_000, 256), (25_000, 256));
        assert_eq!(within(Some(1 << 20), 25_000, 256), (25_000, 256));
        assert_eq!(within(Some(1 << 20), 25_000, 0), (25_000, 0));
    }

    #[test]
    fn few_descriptors_are_shared() {
        // 42 are the process's own.
        assert_eq!(within(Some(256), 25_000, 0), (214, 0));
        assert_eq!(within(Some(256), 25_000, 256), (188, 26));
        assert_eq!(within(Some(256), 100, 256), (100, 26));
        assert_eq!(within(Some(20), 25_000, 256), (1, 1));
    }
}
