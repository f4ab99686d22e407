//! How much memory the process may use, so that an alert can tell how near it is to its end.

use std::{fs, path::Path};

use procfs::{Current as _, Meminfo, process::Process};
use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Where the kernel shows the cgroups, in a container too.
const CGROUPS: &str = "/sys/fs/cgroup";

/// `berth_memory_limit_bytes`. Read again at each scrape: Kubernetes resizes pods in place.
pub(crate) struct MemoryLimit {
    gauge: IntGauge,
}

impl MemoryLimit {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new(
            "berth_memory_limit_bytes",
            "Memory that this process may use: its cgroup's limit, else the machine's memory.",
        )?;
        Ok(Self { gauge })
    }
}

impl Collector for MemoryLimit {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    /// Nothing where `/proc` cannot be read: no value is better than a wrong one.
    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(machine) = Meminfo::current() else {
            return Vec::new();
        };
        let limit = own_cgroup_limit().map_or(machine.mem_total, |l| l.min(machine.mem_total));
        self.gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

fn own_cgroup_limit() -> Option<u64> {
    let cgroups = Process::myself().ok()?.cgroups().ok()?;
    let root = Path::new(CGROUPS);
    cgroups
        .into_iter()
        .filter_map(|cgroup| {
            // Version 2 has one hierarchy and names no controller.
            if cgroup.controllers.iter().all(String::is_empty) {
                limit(root, &cgroup.pathname, "memory.max")
            } else if cgroup.controllers.iter().any(|name| name == "memory") {
                let root = root.join("memory");
                limit(&root, &cgroup.pathname, "memory.limit_in_bytes")
            } else {
                None
            }
        })
        .min()
}

/// The lowest limit of the cgroup at `path` and all above it. In a container `path` may be the
/// host's, which is not there to be seen; the container's own cgroup is `root` then.
fn limit(root: &Path, path: &str, file: &str) -> Option<u64> {
    root.join(path.trim_start_matches('/'))
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        // Not a number is `max`, which is none.
        .filter_map(|folder| {
            fs::read_to_string(folder.join(file))
                .ok()?
                .trim()
                .parse()
                .ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (folder, text) in files {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.max"), text).unwrap();
        }
        root
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let root = cgroups(&[
            ("pod", "67108864\n"),
            ("pod/container", "134217728\n"),
            ("other", "1\n"),
        ]);
        let limit = |path| limit(root.path(), path, "memory.max");
        assert_eq!(limit("/pod/container"), Some(67_108_864));
        assert_eq!(limit("/pod"), Some(67_108_864));
    }

    #[test]
    fn max_is_no_limit() {
        let root = cgroups(&[("pod", "max\n"), ("pod/container", "max\n")]);
        assert_eq!(limit(root.path(), "/pod/container", "memory.max"), None);
    }

    #[test]
    fn a_path_of_the_host_leads_to_the_containers_root() {
        let root = cgroups(&[("", "33554432\n")]);
        let path = "/kubepods/burstable/pod1/container";
        assert_eq!(limit(root.path(), path, "memory.max"), Some(33_554_432));
    }

    #[test]
    fn no_cgroup_no_limit() {
        let root = cgroups(&[]);
        assert_eq!(limit(root.path(), "/", "memory.max"), None);
    }

    #[test]
    fn this_process_has_a_limit() {
        let families = MemoryLimit::new().unwrap().collect();
        let value = families[0].get_metric()[0].get_gauge().get_value();
        let machine = Meminfo::current().unwrap().mem_total;
        #[expect(clippy::cast_precision_loss, reason = "no machine has that much")]
        let machine = machine as f64;
        assert!(value > 1_000_000.0 && value <= machine, "{value}");
    }
}
