//! Settings that change while the server runs, in a folder that changes as the kubelet changes a
//! mounted `ConfigMap`.

mod checks;
mod file;
mod stop;

use std::{
    cell::Cell,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::process::{Berth, berth};

/// A folder as the kubelet mounts it: `settings.toml` is a link through `..data`, a link to the
/// folder of the moment.
struct Mount {
    folder: TempDir,
    count: Cell<u32>,
}

impl Mount {
    fn new(text: &str) -> Self {
        let mount = Self {
            folder: tempfile::tempdir().unwrap(),
            count: Cell::new(0),
        };
        mount.swap(text);
        symlink("..data/settings.toml", mount.file()).unwrap();
        mount
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("settings.toml")
    }

    /// A new folder, a link to it beside the old one, one rename; then the old folder goes.
    fn swap(&self, text: &str) {
        let path = |name: &str| self.folder.path().join(name);
        let number = self.count.get() + 1;
        self.count.set(number);
        let name = format!("..2026_11_24_{number}");
        fs::create_dir(path(&name)).unwrap();
        fs::write(path(&name).join("settings.toml"), text).unwrap();
        symlink(&name, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        if number > 1 {
            fs::remove_dir_all(path(&format!("..2026_11_24_{}", number - 1))).unwrap();
        }
    }

    fn serve(&self, environment: &[(&str, &str)]) -> Berth {
        serve(&self.file(), environment)
    }
}

fn serve(file: &Path, environment: &[(&str, &str)]) -> Berth {
    let mut command = berth(environment);
    command
        .env("BERTH_CONFIG", file)
        .env("BERTH__DEBUG__ROUTES", "true");
    Berth::spawn(command)
}

/// The value of a sample, by its name with its labels.
fn sample(server: &Berth, series: &str) -> String {
    let metrics = server.get("/metrics");
    let value = metrics.sample(series);
    value.unwrap_or_else(|| panic!("no {series}")).to_owned()
}

fn reloads(server: &Berth, result: &str) -> u64 {
    let name = format!("berth_config_reloads_total{{result=\"{result}\"}}");
    sample(server, &name).parse().unwrap()
}
