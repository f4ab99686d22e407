//! `PostgreSQL`, as a test needs it.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{DEADLINE, eventually, free_port};

/// Where Debian's packages put the programs, by version; not on the path.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What it is called as a user of the system, where the test is root's: `PostgreSQL` refuses to be that.
const NOBODY: u32 = 65_534;

/// With a space, so that a service that takes credentials from a URL without decoding them is found.
const PASSWORD: &str = "pass word";

/// A real `PostgreSQL` with data of its own, on a port of its own; it starts in about a second.
///
/// It is gone with its data when this is dropped, and also when the test's process ends without that, as with a
/// `static` that many tests share: each then has a [database](Self::create_database) of its own.
///
/// Its user `app` has the password `pass word`, and may do everything. Of what is stored nothing is synced to the disk.
///
/// ```no_run
/// use berth_testkit::{Postgres, Process, eventually, service};
///
/// let mut postgres = Postgres::start();
/// let environment = [("SHOP__DATABASE__URL", &*postgres.create_database())];
/// let shop = Process::start(service("shop", "target/debug/shop", &environment));
/// postgres.stop();
/// eventually("it is told", || shop.get("/ready").status == 503);
/// postgres.restart();
/// eventually("it is back", || shop.get("/ready").status == 200);
/// shop.stop();
/// ```
///
/// It takes what is installed: the newest below `/usr/lib/postgresql`, where Debian's package `postgresql` puts it, or
/// what is on the path. Where there is none, it panics with what to install.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// None while it is stopped.
    server: Option<Child>,
    /// Waits for the end of its standard input, which is held here, and then ends and removes what is left.
    cleanup: Child,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes one, and waits until it takes connections.
    pub fn start() -> Self {
        Self::start_with_auth("password")
    }

    /// As [`start`](Self::start), with another way to log in, as `initdb --auth` has it. `scram-sha-256` is what servers
    /// ask for by default; each connection of a debug build takes some 0.1 s for it.
    pub fn start_with_auth(auth: &str) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let programs = programs(Path::new(DEBIAN), &path)
            .expect("this test needs PostgreSQL; on Debian: apt-get install postgresql");
        let folder = new_folder();
        let cleanup = as_somebody(Path::new("/bin/sh"))
            .args([
                "-c",
                r#"read _; "$0" stop --silent --mode=immediate --pgdata="$1/data"; rm -rf "$1""#,
            ])
            .arg(programs.join("pg_ctl"))
            .arg(&folder)
            // Ctrl-C ends the test, and not this.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut postgres = Self {
            programs,
            folder,
            port: free_port(),
            server: None,
            cleanup,
            databases: AtomicU32::new(0),
        };
        let password = postgres.folder.join("password");
        fs::write(&password, PASSWORD).unwrap();
        postgres.run(
            postgres
                .program("initdb")
                .args(["--no-sync", "--auth", auth, "--username=app"])
                .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pwfile"])
                .arg(&password)
                .arg("--pgdata")
                .arg(postgres.data()),
        );
        postgres.restart();
        postgres
    }

    /// The URL of a database of this name; the first one is called `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!(
            "postgres://app:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Creates a database, which is empty; gives its URL.
    #[must_use]
    pub fn create_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.run(self.client("createdb").arg(&name));
        self.url(&name)
    }

    /// The port that it listens on, of `127.0.0.1`; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its socket, which clients of this machine may use in place of the port.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it, as who runs it does: open transactions are undone, and all connections closed.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            send("INT", &[server.id()]);
            let status = server.wait().unwrap();
            assert!(status.success(), "{status}: {}", self.log());
        }
    }

    /// Stops it where it is running, and starts it again with its data.
    pub fn restart(&mut self) {
        self.stop();
        let log = self.folder.join("log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let server = self
            .program("postgres")
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "max_connections=200", "-p", &self.port.to_string()])
            .arg("-k")
            .arg(&self.folder)
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let deadline = Instant::now() + DEADLINE;
        // It listens before it lets anybody in.
        while !self.is_open() {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "PostgreSQL does not start ({ended:?}): {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_open(&self) -> bool {
        let mut asked = self.client("pg_isready");
        asked.arg("--quiet").status().unwrap().success()
    }

    /// Kills it, as when its machine is lost.
    pub fn kill(&mut self) {
        let killed = self.kill_all();
        // Until the last is gone, its memory is in the way of a restart.
        eventually("PostgreSQL is gone", || {
            !killed.iter().any(|process| is_running(*process))
        });
    }

    fn kill_all(&mut self) -> Vec<u32> {
        let Some(mut server) = self.server.take() else {
            return Vec::new();
        };
        let processes = processes(server.id());
        send("KILL", &processes);
        let _ = server.wait();
        processes
    }

    /// Sends all of its processes a signal: `STOP` has it hang, and `CONT` go on.
    pub fn signal(&self, name: &str) {
        let server = self.server.as_ref().expect("it is not running");
        send(name, &processes(server.id()));
    }

    /// A program of its own that asks the server.
    fn client(&self, name: &str) -> Command {
        let mut client = self.program(name);
        client
            .env("PGPASSWORD", PASSWORD)
            .args(["--host=127.0.0.1", "--username=app"])
            .arg(format!("--port={}", self.port));
        client
    }

    fn program(&self, name: &str) -> Command {
        as_somebody(&self.programs.join(name))
    }

    fn run(&self, command: &mut Command) {
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command:?}: {said}{}", self.log());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it has logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill_all();
        // It names a process that is gone, and whose number another may have.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        drop(self.cleanup.stdin.take());
        let _ = self.cleanup.wait();
    }
}

/// The folder with the programs: of Debian's the newest version, else one of the path.
fn programs(debian: &Path, path: &OsStr) -> Option<PathBuf> {
    let version = |folder: &PathBuf| -> Option<u32> {
        let name = folder.file_name()?.to_str()?;
        name.split('.').next()?.parse().ok()
    };
    let versions = fs::read_dir(debian).into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|folder| folder.join("bin/postgres").exists())
        .max_by_key(version)
        .map(|folder| folder.join("bin"));
    newest.or_else(|| env::split_paths(path).find(|folder| folder.join("postgres").exists()))
}

/// A folder that is nobody else's.
fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-postgres-{}-{number}", process::id());
        let folder = env::temp_dir().join(name);
        match fs::create_dir(&folder) {
            // Of an earlier process with this number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            made => made.unwrap(),
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        return folder;
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn as_somebody(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Not where the test is, which may be closed to nobody.
    command.current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The server, and its children, of which it has one for each connection.
fn processes(server: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().flat_map(str::parse);
    // The server first, which would make new ones.
    [server].into_iter().chain(children).collect()
}

/// Whether there is such a process, and it has not ended.
fn is_running(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

fn send(signal: &str, processes: &[u32]) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal])
        .args(processes.iter().map(u32::to_string));
    // A child may be gone by now, which is no failure.
    kill.stderr(Stdio::null()).status().unwrap();
}

#[cfg(test)]
mod tests;
