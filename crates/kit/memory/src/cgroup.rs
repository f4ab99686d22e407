//! The memory of a cgroup, of version 1 or 2.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use procfs::process::Process;

/// Where the kernel shows the cgroups, in a container too.
const ROOT: &str = "/sys/fs/cgroup";

/// How the two versions name their files.
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: what of the usage are files' pages, what of these is in memory only, and what the kernel itself
    /// keeps and can do without, such as the names of files.
    file: &'static str,
    shared: &'static str,
    reclaimable: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    file: "total_cache ",
    shared: "total_shmem ",
    // It does not tell.
    reclaimable: "slab_reclaimable ",
};

const V2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    file: "file ",
    shared: "shmem ",
    reclaimable: "slab_reclaimable ",
};

/// The cgroup that limits this process most. Its files stay open: to read one again costs less than 1 µs.
pub(crate) struct Cgroup {
    names: &'static Names,
    limit: File,
    usage: File,
    stat: File,
}

impl Cgroup {
    /// Of this process; none where nothing limits it.
    pub(crate) fn own() -> Option<Self> {
        let cgroups = Process::myself().ok()?.cgroups().ok()?;
        let root = Path::new(ROOT);
        let limits = cgroups.into_iter().filter_map(|cgroup| {
            // Version 2 has one hierarchy and names no controller.
            if cgroup.controllers.iter().all(String::is_empty) {
                lowest(root, &cgroup.pathname, &V2)
            } else if cgroup.controllers.iter().any(|name| name == "memory") {
                lowest(&root.join("memory"), &cgroup.pathname, &V1)
            } else {
                None
            }
        });
        let (_, folder, names) = limits.min_by_key(|(limit, ..)| *limit)?;
        Self::open(&folder, names)
    }

    fn open(folder: &Path, names: &'static Names) -> Option<Self> {
        let open = |name| File::open(folder.join(name)).ok();
        Some(Self {
            names,
            limit: open(names.limit)?,
            usage: open(names.usage)?,
            stat: open("memory.stat")?,
        })
    }

    /// In bytes. Read again each time: Kubernetes resizes pods in place.
    pub(crate) fn limit(&self) -> Option<u64> {
        number(&self.limit)
    }

    /// What is used, in bytes, with the pages of files that the kernel may drop.
    pub(crate) fn usage(&self) -> Option<u64> {
        number(&self.usage)
    }

    /// What the kernel may drop, in bytes: the pages of files, for the most part.
    pub(crate) fn droppable(&self) -> u64 {
        let mut text = [0; 4096];
        let read = self.stat.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..read]);
        let value = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        let [file, shared, reclaimable] =
            [self.names.file, self.names.shared, self.names.reclaimable]
                .map(|name| value(name).unwrap_or(0));
        file.saturating_sub(shared) + reclaimable
    }
}

fn number(file: &File) -> Option<u64> {
    let mut text = [0; 32];
    let read = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..read]).ok()?.trim().parse().ok()
}

/// The lowest limit of the cgroup at `path` and all above it, and where it is. In a container `path` may be the
/// host's, which is not there to be seen; the container's own cgroup is `root` then.
fn lowest(
    root: &Path,
    path: &str,
    names: &'static Names,
) -> Option<(u64, PathBuf, &'static Names)> {
    root.join(path.trim_start_matches('/'))
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            // Not a number is `max`, which is none; so is the largest that version 1 can write.
            let text = fs::read_to_string(folder.join(names.limit)).ok()?;
            let limit = text.trim().parse().ok().filter(|limit| *limit < 1 << 60)?;
            Some((limit, folder.to_owned(), names))
        })
        .min_by_key(|(limit, ..)| *limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn limit(root: &tempfile::TempDir, path: &str) -> Option<u64> {
        lowest(root.path(), path, &V2).map(|(limit, ..)| limit)
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let root = cgroups(&[
            ("pod/memory.max", "67108864\n"),
            ("pod/container/memory.max", "134217728\n"),
            ("other/memory.max", "1\n"),
        ]);
        assert_eq!(limit(&root, "/pod/container"), Some(67_108_864));
        assert_eq!(limit(&root, "/pod"), Some(67_108_864));
        let (_, folder, _) = lowest(root.path(), "/pod/container", &V2).unwrap();
        assert_eq!(folder, root.path().join("pod"));
    }

    #[test]
    fn max_is_no_limit() {
        let root = cgroups(&[("pod/memory.max", "max\n")]);
        assert_eq!(limit(&root, "/pod/container"), None);
        let most = cgroups(&[("memory.limit_in_bytes", "9223372036854771712\n")]);
        assert!(lowest(most.path(), "/", &V1).is_none());
    }

    #[test]
    fn a_path_of_the_host_leads_to_the_containers_root() {
        let root = cgroups(&[("memory.max", "33554432\n")]);
        let path = "/kubepods/burstable/pod1/container";
        assert_eq!(limit(&root, path), Some(33_554_432));
    }

    #[test]
    fn no_cgroup_no_limit() {
        assert_eq!(limit(&cgroups(&[]), "/"), None);
    }

    #[test]
    fn pages_of_files_are_told_apart_in_both_versions() {
        let root = cgroups(&[
            ("two/memory.max", "1000\n"),
            ("two/memory.current", "700\n"),
            (
                "two/memory.stat",
                "anon 100\nfile 300\nkernel 40\nshmem 50\nfile_mapped 9\nslab_reclaimable 7\n",
            ),
            ("one/memory.limit_in_bytes", "1000\n"),
            ("one/memory.usage_in_bytes", "700\n"),
            (
                "one/memory.stat",
                "cache 1\nshmem 1\ntotal_cache 300\ntotal_rss 100\ntotal_shmem 50\n",
            ),
        ]);
        for (folder, names, droppable) in [("two", &V2, 257), ("one", &V1, 250)] {
            let cgroup = Cgroup::open(&root.path().join(folder), names).unwrap();
            let read = (cgroup.limit(), cgroup.usage(), cgroup.droppable());
            assert_eq!(read, (Some(1000), Some(700), droppable), "{folder}");
        }
        // A pod is resized.
        let cgroup = Cgroup::open(&root.path().join("two"), &V2).unwrap();
        fs::write(root.path().join("two/memory.max"), "2000\n").unwrap();
        assert_eq!(cgroup.limit(), Some(2000));
    }
}
