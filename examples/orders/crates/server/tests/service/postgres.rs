//! `PostgreSQL`, as a test needs it.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::{Builder, Runtime};

/// A server with data of its own; stopped and removed when this process ends, however it does.
pub struct Cluster {
    port: u16,
    programs: PathBuf,
    data: PathBuf,
    /// Waits for the end of its standard input, which is this.
    _janitor: Child,
}

/// The one that most tests share.
fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

impl Cluster {
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap().keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.join("data");
        run(as_somebody(&programs.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=orders", "--pgdata"])
            .arg(&data));
        let janitor = as_somebody(Path::new("/bin/sh"))
            .args([
                "-c",
                r#"read _; "$0" stop --silent --mode=immediate --pgdata="$1/data"; rm -rf "$1""#,
            ])
            .arg(programs.join("pg_ctl"))
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self {
            port: free_port(),
            programs,
            data,
            _janitor: janitor,
        };
        cluster.up();
        cluster
    }

    /// Starts it again.
    pub fn up(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c max_connections=200",
            self.port
        );
        run(self
            .pg_ctl("start")
            .arg("--log")
            .arg(self.data.join("log"))
            .args(["--wait", "--options", &options]));
    }

    /// Stops it, with all that is connected.
    pub fn down(&self) {
        run(self.pg_ctl("stop").args(["--wait", "--mode=fast"]));
    }

    fn pg_ctl(&self, command: &str) -> Command {
        let mut pg_ctl = as_somebody(&self.programs.join("pg_ctl"));
        pg_ctl
            .args([command, "--silent", "--pgdata"])
            .arg(&self.data);
        pg_ctl
    }

    /// A new, empty one.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("orders_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = |name: &str| format!("postgres://orders:s3cr3t@127.0.0.1:{}/{name}", self.port);
        Sql::connect(&url("postgres")).run(&format!("CREATE DATABASE {name}"));
        Database { url: url(&name) }
    }
}

/// A database, which is empty until a service migrates it.
pub struct Database {
    pub url: String,
}

impl Database {
    pub fn new() -> Self {
        shared().database()
    }

    /// A connection to it that is not the service's.
    pub fn sql(&self) -> Sql {
        Sql::connect(&self.url)
    }

    /// A number that it is asked for.
    pub fn number(&self, query: &str) -> i64 {
        self.sql().number(query)
    }
}

/// A connection.
pub struct Sql {
    runtime: Runtime,
    connection: PgConnection,
}

impl Sql {
    fn connect(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(PgConnection::connect(url)).unwrap();
        Self {
            runtime,
            connection,
        }
    }

    pub fn run(&mut self, statements: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connection);
        self.runtime.block_on(done).unwrap();
    }

    pub fn number(&mut self, query: &str) -> i64 {
        let number = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.connection);
        self.runtime.block_on(number).unwrap()
    }
}

/// Where its programs are: not on the path on Debian.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .max()
        .expect("these tests need PostgreSQL: apt-get install postgresql")
}

const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// It may not run as root, which a test in a container often is.
fn as_somebody(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn run(command: &mut Command) {
    // Not its output: what it starts keeps that open.
    let done = command.stdout(Stdio::null()).status().unwrap();
    assert!(done.success(), "{command:?}: {done}");
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
