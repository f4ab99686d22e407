//! Whom to ask for the limit and for what is used.

#[cfg(target_os = "linux")]
use procfs::{Current as _, Meminfo};

#[cfg(target_os = "linux")]
use crate::{cgroup::Cgroup, process::Resident};

/// How much memory this process may use, in bytes: its cgroup's limit, else the machine's memory. None where the
/// system does not tell.
#[must_use]
pub fn limit() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let machine = Meminfo::current().ok()?.mem_total;
        let cgroup = Cgroup::own().and_then(|cgroup| cgroup.limit());
        Some(cgroup.map_or(machine, |limit| limit.min(machine)))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Who tells how much is used.
pub(crate) enum Source {
    /// It has a limit.
    #[cfg(target_os = "linux")]
    Cgroup(Cgroup),
    /// Nobody else limits the process.
    #[cfg(target_os = "linux")]
    Process(Resident),
    #[cfg(test)]
    Test(std::sync::Arc<std::sync::Mutex<[u64; 3]>>),
}

impl Source {
    pub(crate) fn new() -> Option<Self> {
        #[cfg(target_os = "linux")]
        {
            let cgroup = Cgroup::own().map(Self::Cgroup);
            cgroup.or_else(|| Resident::own().map(Self::Process))
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// What the system allows, in bytes, where it kills whoever needs more.
    pub(crate) fn limit(&self) -> Option<u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Cgroup(cgroup) => cgroup.limit(),
            #[cfg(target_os = "linux")]
            Self::Process(_) => None,
            #[cfg(test)]
            Self::Test(figures) => figures.lock().ok().map(|figures| figures[0]),
        }
    }

    /// What is used, in bytes, with what could be dropped.
    pub(crate) fn usage(&self) -> Option<u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Cgroup(cgroup) => cgroup.usage(),
            #[cfg(target_os = "linux")]
            Self::Process(resident) => resident.bytes(),
            #[cfg(test)]
            Self::Test(figures) => figures.lock().ok().map(|figures| figures[1]),
        }
    }

    /// What of that the system drops where it needs memory, in bytes. Costs more than the rest.
    pub(crate) fn droppable(&self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Cgroup(cgroup) => cgroup.droppable(),
            #[cfg(target_os = "linux")]
            Self::Process(_) => 0,
            #[cfg(test)]
            Self::Test(figures) => figures.lock().map_or(0, |figures| figures[2]),
        }
    }
}
