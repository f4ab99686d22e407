use std::io::{BufRead as _, BufReader, Write as _};

use super::*;

/// What `psql` prints of this, or `None` where it fails.
fn ask(url: &str, query: &str) -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = programs(Path::new(DEBIAN), &path).unwrap();
    let mut psql = as_somebody(&programs.join("psql"));
    psql.env("PGCONNECT_TIMEOUT", "1")
        .args([url, "--tuples-only"]);
    let done = psql.args(["--no-align", "-c", query]).output().unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    done.status.success().then(|| printed.trim().to_owned())
}

#[test]
fn the_newest_version_is_taken_and_without_one_that_of_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let debian = folder.path().join("postgresql");
    let other = folder.path().join("opt");
    let path = env::join_paths([folder.path(), &other]).unwrap();
    let make = |bin: &Path| {
        fs::create_dir_all(bin).unwrap();
        fs::write(bin.join("postgres"), "").unwrap();
    };
    assert_eq!(programs(&debian, &path), None);
    make(&other);
    assert_eq!(programs(&debian, &path), Some(other));
    for version in ["9.6", "17", "15"] {
        make(&debian.join(version).join("bin"));
    }
    // Its package is removed, but for a folder.
    fs::create_dir_all(debian.join("18/lib")).unwrap();
    assert_eq!(programs(&debian, &path), Some(debian.join("17/bin")));
}

#[test]
#[ignore = "needs PostgreSQL: just test-readiness"]
fn databases_are_apart_and_kept_over_a_stop_and_a_kill() {
    let mut postgres = Postgres::start();
    let [first, second] = [postgres.create_database(), postgres.create_database()];
    let made = "CREATE TABLE t AS SELECT 7 AS n";
    assert!(ask(&first, made).is_some());
    assert_eq!(ask(&first, "SELECT n FROM t").as_deref(), Some("7"));
    assert_eq!(ask(&second, "SELECT n FROM t"), None);
    assert_eq!(
        ask(&second, "SHOW server_encoding").as_deref(),
        Some("UTF8")
    );
    let wrong = first.replace("pass%20word", "password");
    assert_ne!(wrong, first);
    assert_eq!(ask(&wrong, "SELECT 1"), None);

    postgres.stop();
    assert_eq!(ask(&first, "SELECT 1"), None);
    postgres.restart();
    assert_eq!(ask(&first, "SELECT n FROM t").as_deref(), Some("7"));
    postgres.kill();
    assert_eq!(ask(&first, "SELECT 1"), None);
    postgres.restart();
    assert_eq!(ask(&first, "SELECT n FROM t").as_deref(), Some("7"));
    // One that runs is stopped first.
    let pid = postgres.server.as_ref().unwrap().id();
    postgres.restart();
    assert!(!is_running(pid));

    let socket = format!(
        "postgres://app:pass%20word@/postgres?host={}&port={}",
        postgres.socket_folder().display(),
        postgres.port()
    );
    assert_eq!(ask(&socket, "SELECT 1").as_deref(), Some("1"));
    postgres.signal("STOP");
    assert_eq!(ask(&first, "SELECT 1"), None);
    postgres.signal("CONT");
    assert_eq!(ask(&first, "SELECT n FROM t").as_deref(), Some("7"));

    // Also one that hangs.
    postgres.signal("STOP");
    let (folder, pid) = (
        postgres.folder.clone(),
        postgres.server.as_ref().unwrap().id(),
    );
    drop(postgres);
    assert!(!folder.exists() && !is_running(pid));
}

/// Not dropped, as a `static` is not; and killed, which nothing in it can do something about.
#[test]
#[ignore = "needs PostgreSQL: just test-readiness"]
fn it_is_gone_with_the_process_of_the_test() {
    const INNER: &str = "BERTH_TESTKIT_INNER";
    if env::var_os(INNER).is_some() {
        let postgres = Postgres::start();
        let pid = postgres.server.as_ref().unwrap().id();
        let folder = postgres.folder.display();
        writeln!(std::io::stderr(), "\nstarted {pid} {folder}").unwrap();
        send("KILL", &[process::id()]);
        thread::sleep(DEADLINE);
    }
    let mut inner = Command::new(env::current_exe().unwrap());
    inner
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("postgres::tests::it_is_gone_with_the_process_of_the_test")
        .env(INNER, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut inner = inner.spawn().unwrap();
    let stderr = BufReader::new(inner.stderr.take().unwrap());
    let started = stderr
        .lines()
        .find_map(|line| Some(line.unwrap().strip_prefix("started ")?.to_owned()))
        .unwrap();
    assert!(!inner.wait().unwrap().success());
    let (pid, folder) = started.split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    eventually("its data is gone", || !Path::new(folder).exists());
    assert!(!is_running(pid));
}
