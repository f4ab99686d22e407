//! Starts that fail, and what they say.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::Command,
};

use berth_testkit::Client;

use crate::process::{Berth, berth, free_port, program};

/// Runs to the end; returns the exit code and all that was said, which must not be a panic.
fn fails(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), said)
}

#[test]
fn a_port_in_use() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let (code, said) = fails(berth(&[]).env("PORT", addr.port().to_string()));
    assert_eq!(code, 1);
    assert_eq!(
        said,
        format!(
            "cannot listen on {addr}: address already in use (set PORT or server.port, or stop the process that holds it)\n"
        )
    );
}

#[test]
fn a_privileged_port() {
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free: u16 = first_free.map_or(1024, |text| text.trim().parse().unwrap());
    if first_free < 2 {
        // This machine lets anybody bind any port.
        return;
    }
    let mut command = berth(&[("PORT", "1")]);
    // Only root can become nobody; everybody else is unprivileged already.
    let id = Command::new("id").arg("-u").output().unwrap();
    let copied = tempfile::tempdir().unwrap();
    if id.stdout == b"0\n" {
        // The build directory may be closed to nobody.
        let program = copied.path().join("berth");
        // By another process: what this one has open for writing, a child that another test starts meanwhile
        // has open as well, and a program that is open for writing does not start.
        let copy = Command::new("cp")
            .arg(crate::process::program())
            .arg(&program)
            .status();
        assert!(copy.unwrap().success());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(copied.path(), open).unwrap();
        command = Command::new(program);
        command
            .env_clear()
            .env("PORT", "1")
            .env("BERTH__SERVER__HOST", "127.0.0.1")
            .uid(65534)
            .gid(65534);
    }
    let (code, said) = fails(&mut command);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("cannot listen on 127.0.0.1:1: permission denied ("),
        "{said}"
    );
    assert!(said.contains("1024"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn an_address_that_is_not_ours_or_not_one() {
    for host in ["192.0.2.1", "no-such-host.invalid"] {
        let (code, said) = fails(berth(&[]).env("BERTH__SERVER__HOST", host));
        assert_eq!(code, 1);
        assert!(
            said.starts_with(&format!("cannot listen on {host}:0: ")),
            "{said}"
        );
        assert!(said.contains("server.host"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    for path in [missing.as_path(), dir.path()] {
        let (code, said) = fails(berth(&[]).arg("--config").arg(path));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn settings_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text, says) in [
        ("malformed.toml", "[server\nport = 1", "malformed.toml"),
        ("malformed.yaml", "server: {port: 1", "malformed.yaml"),
        ("unknown.toml", "[server]\nprot = 80", "server.port"),
        ("section.toml", "[sever]\nport = 80", "sever"),
        ("type.toml", "[server]\nport = \"80\"", "server.port"),
        ("type.yaml", "log:\n  access: 1\n", "log.access"),
        ("range.toml", "[server]\nport = 70000", "65535"),
        ("duration.toml", "[server]\nrequest_timeout = 5", "5s"),
        (
            "contradiction.toml",
            "[shutdown]\ndrain_delay = \"15s\"\ntimeout = \"20s\"\ngrace_period = \"30s\"",
            "shutdown.grace_period",
        ),
        ("path.toml", "[metrics]\npath = \"/health\"", "metrics.path"),
        (
            "filter.toml",
            "[log]\nfilter = \"berth=loud\"",
            "log.filter",
        ),
    ] {
        let path = dir.path().join(file);
        std::fs::write(&path, text).unwrap();
        let port = free_port();
        let mut command = berth(&[]);
        // The file's port must not be hidden by the environment's.
        command.env_remove("PORT").arg("--config").arg(&path);
        let (code, said) = fails(&mut command);
        assert_eq!(code, 2, "{file}: {said}");
        assert!(
            said.contains(says) && said.contains("1 fault"),
            "{file}: {said}"
        );
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
    }
}

#[test]
fn all_faults_at_once_and_nothing_listens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("berth.toml");
    std::fs::write(
        &path,
        "[server]\nbacklog = 0\n[log]\nformat = \"xml\"\n[nonsense]\nx = 1\n",
    )
    .unwrap();
    let (code, said) = fails(
        berth(&[
            ("PORT", "x"),
            ("BERTH__SHUTDOWN__TIMEOUT", "1500ms"),
            ("BERTH__NO__SUCH", "1"),
        ])
        .env("BERTH_CONFIG", &path),
    );
    assert_eq!(code, 2);
    for part in [
        "6 faults",
        "server.backlog",
        "log.format",
        "nonsense",
        "PORT",
        "shutdown.timeout",
        "no.such",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn the_file_and_the_environment_reach_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("berth.yaml");
    std::fs::write(&path, "app:\n  name: from-file\n  environment: from-file\n").unwrap();
    let server = Berth::start(&[
        ("BERTH_CONFIG", path.to_str().unwrap()),
        ("BERTH__APP__ENVIRONMENT", "from-environment"),
        // What Kubernetes sets for a Service named berth is not ours.
        ("BERTH_PORT", "tcp://10.0.0.1:80"),
        ("BERTH_SERVICE_HOST", "10.0.0.1"),
    ]);
    let info = server.get("/api/v1/info").json();
    assert_eq!(info["app"], "from-file");
    assert_eq!(info["env"], "from-environment");
}

#[test]
fn the_worker_count_is_logged() {
    let server = Berth::start(&[("BERTH__SERVER__WORKERS", "3")]);
    assert!(
        server
            .stop()
            .iter()
            .any(|line| line.contains("with 3 workers"))
    );
    let server = Berth::start(&[("BERTH__SERVER__WORKERS", "auto")]);
    let log = server.stop();
    let line = log.iter().find(|line| line.contains("listening")).unwrap();
    let count = line
        .split("with ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!((1..=8).contains(&count.parse::<u32>().unwrap()), "{line}");
}

#[test]
fn connections_leave_descriptors_for_the_rest() {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -n 100 && exec "$0""#])
        .arg(program())
        .env_clear()
        .env("PORT", "0")
        .env("BERTH__SERVER__HOST", "127.0.0.1")
        .env("BERTH__SERVER__WORKERS", "2")
        .env("BERTH__MANAGEMENT__PORT", "0");
    let mut server = Berth::spawn(command);
    server.wait_for_log(
        "at most 53 connections, not server.max_connections = 25000: the limit of descriptors",
    );
    let line = server.wait_for_log("management port on http://");
    let private: SocketAddr = line.rsplit("http://").next().unwrap().parse().unwrap();

    let others: Vec<_> = (0..120).map(|_| server.client()).collect();
    for _ in 0..20 {
        assert_eq!(Client::connect(private).get("/health").status, 200);
    }
    drop(others);
    assert_eq!(server.get("/health").status, 200);
    let log = server.stop();
    let failed = log.iter().find(|line| line.contains("Error accepting"));
    assert_eq!(failed, None);
}
