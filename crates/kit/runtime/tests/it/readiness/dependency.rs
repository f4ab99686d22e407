//! Real servers of other kinds, started by a test: Redis, `PostgreSQL`, and TLS by openssl.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A server of another kind, started by the test.
pub(crate) struct Dependency {
    child: Child,
    folder: TempDir,
}

impl Dependency {
    /// Where the sockets are that it listens on beside its port.
    pub(crate) fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        // Its children as well: PostgreSQL has one for each connection.
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        for pid in children.split_whitespace() {
            // It may be gone by now.
            let _ = send(name, pid);
        }
        assert!(send(name, &own.to_string()));
    }

    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
    }
}

fn send(signal: &str, pid: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, pid]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

impl Drop for Dependency {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}

pub(crate) fn wait_for_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {port}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn redis(port: u16, more: &[&str]) -> Dependency {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            "right word",
        ])
        .args(["--port", &port.to_string(), "--unixsocket", "redis.sock"])
        .args(more)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("needs redis-server: apt-get install redis-server");
    wait_for_port(port);
    Dependency { child, folder }
}

/// Where the programs of `PostgreSQL` are: not on the path on Debian.
fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .max()
        .expect("needs PostgreSQL: apt-get install postgresql")
}

/// Its user may not be root, which a test in a container often is.
fn as_somebody(program: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(crate) fn postgres(port: u16, password: &str) -> Dependency {
    let programs = postgres_programs();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let word = folder.path().join("password");
    fs::create_dir(&data).unwrap();
    fs::write(&word, password).unwrap();
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(&data).unwrap()) == 0 {
        chown(&data, Some(65_534), Some(65_534)).unwrap();
    }
    let made = as_somebody(&programs.join("initdb"))
        .args([
            "--no-sync",
            "--auth",
            "scram-sha-256",
            "--username",
            "app",
            "--pwfile",
        ])
        .arg(&word)
        .arg("--pgdata")
        .arg(&data)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let child = as_somebody(&programs.join("postgres"))
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-p", &port.to_string(), "-D"])
        .arg(&data)
        .arg("-k")
        .arg(&data)
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It listens before it lets anybody in.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut asked = Command::new(programs.join("pg_isready"));
    asked.args(["--quiet", "--host=127.0.0.1", &format!("--port={port}")]);
    while !asked.status().unwrap().success() {
        assert!(Instant::now() < deadline, "PostgreSQL does not start");
        thread::sleep(Duration::from_millis(10));
    }
    Dependency { child, folder }
}

/// A TLS server with a certificate for `localhost` that is its own authority.
pub(crate) fn tls(port: u16, certificate: &Path) -> Child {
    let key = certificate.with_extension("key");
    if !certificate.exists() {
        // Not an authority by its own word: rustls takes no such one for a server's.
        let config = certificate.with_extension("cnf");
        let text = "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n\
                    [name]\nCN = localhost\n\
                    [extensions]\nsubjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n";
        fs::write(&config, text).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-config"])
            .arg(&config)
            .arg("-out")
            .arg(certificate)
            .arg("-keyout")
            .arg(&key)
            .output()
            .expect("needs openssl");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-www",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
        ])
        .arg(certificate)
        .arg("-key")
        .arg(key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
