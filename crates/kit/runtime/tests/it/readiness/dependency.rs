//! Real servers of other kinds, started by a test: Redis, `PostgreSQL`, and TLS by openssl.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use berth_testkit::{Postgres, eventually};
use tempfile::TempDir;

use crate::process::free_port;

/// A server of another kind.
pub(crate) trait Dependency {
    fn signal(&self, name: &str);

    fn kill(&mut self);

    fn restart(&mut self);
}

impl Dependency for Postgres {
    fn signal(&self, name: &str) {
        self.signal(name);
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }
}

/// With the password `right word`.
pub(crate) struct Redis {
    pub(crate) port: u16,
    arguments: Vec<String>,
    child: Child,
    folder: TempDir,
}

impl Redis {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let child = Self::spawn(port, &folder, &arguments);
        Self {
            port,
            arguments,
            child,
            folder,
        }
    }

    fn spawn(port: u16, folder: &TempDir, arguments: &[String]) -> Child {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--requirepass", "right word"])
            .args(["--port", &port.to_string(), "--unixsocket", "redis.sock"])
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("needs redis-server: apt-get install redis-server");
        wait_for_port(port);
        child
    }

    /// Where its socket is, on which it listens beside its port.
    pub(crate) fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }
}

impl Dependency for Redis {
    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.kill();
        self.child = Self::spawn(self.port, &self.folder, &self.arguments);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn wait_for_port(port: u16) {
    eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
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
