//! Host names, where the system's own ways to look them up would fail.

use std::{fs, process::Command};

use crate::process::program;

/// Runs a script beside the program, in a network of its own and with these files in the place of the system's. What
/// `prepare` does to the network is seen by both, what `alone` does to files by the program alone. The script has the
/// program's number as `$pid`, its log as `$log`, and `alone` to run it once more. Gives what it has printed, and the
/// log.
fn beside(
    (prepare, alone): (&str, &str),
    files: &[(&str, &str)],
    environment: &[(&str, &str)],
    script: &str,
) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mount = |(number, (file, text)): (usize, &(&str, &str))| {
        let ours = path(&number.to_string());
        fs::write(&ours, text).unwrap();
        format!("[ -e {file} ] || touch {file}; mount --bind '{ours}' {file}\n")
    };
    let mounts: String = files.iter().enumerate().map(mount).collect();
    let script = format!(
        "ip link set lo up; {prepare}\n{mounts}log='{log}'\n\
         alone() {{ exec unshare --mount sh -ec '{alone}; exec \"$0\" \"$@\"' '{program}' \"$@\"; }}\n\
         alone 2>\"$log\" & pid=$!\n\
         for _ in $(seq 100); do\n\
           curl -sfm 2 --noproxy '*' http://127.0.0.1:8080/health >/dev/null && break; kill -0 $pid; sleep 0.1\n\
         done\n\
         {script}\n\
         kill -TERM $pid; wait $pid",
        log = path("log"),
        program = program().display(),
    );
    // Where the system is asked after all, nobody comes back.
    let output = Command::new("timeout")
        .args([
            "--kill-after=1",
            "60",
            "unshare",
            "--net",
            "--mount",
            "sh",
            "-ec",
            &script,
        ])
        .env("BERTH__LOG__FORMAT", "text")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let log = fs::read_to_string(path("log")).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{log}");
    (String::from_utf8(output.stdout).unwrap(), log)
}

const HOSTS: &str = "127.0.0.1 localhost berth.test\n";

/// A static binary dies of plug-ins that are of another version of the C library than it is. Whoever opens the file
/// that names them waits here for ever.
#[test]
#[ignore = "needs root"]
fn the_c_librarys_plug_ins_are_not_asked() {
    let alone = "fifo=$(mktemp -u); mkfifo $fifo; mount --bind $fifo /etc/nsswitch.conf; rm $fifo";
    let checks = "[{ name = \"tcp\", url = \"tcp://berth.test:8080\" }, \
                  { name = \"http\", url = \"http://berth.test:8080/health\" }]";
    let (said, log) = beside(
        ("", alone),
        &[("/etc/hosts", HOSTS)],
        &[
            ("BERTH__SERVER__HOST", "berth.test"),
            ("BERTH__READINESS__CHECKS", checks),
        ],
        "for _ in $(seq 50); do\n\
           curl -sfm 2 --noproxy '*' http://127.0.0.1:8080/ready && break; sleep 0.1\n\
         done\n\
         (PORT=8080 alone healthcheck) && echo healthy",
    );
    assert!(
        said.contains("ready") && said.contains("healthy"),
        "{said}\n{log}"
    );
}

#[test]
#[ignore = "needs root"]
fn name_servers_that_drop_everything_take_no_threads_and_no_signals() {
    // It takes every question and answers none.
    let prepare = "timeout 30 python3 -c 'import socket, time; silent = socket.socket(type=socket.SOCK_DGRAM); \
                   silent.bind((\"127.0.0.53\", 53)); time.sleep(30)' >/dev/null 2>&1 & sleep 0.3";
    let each = |number| {
        format!(
            "{{ name = \"check-{number}\", url = \"tcp://db-{number}.test:5432\", interval = \"100ms\", \
             timeout = \"100ms\" }}"
        )
    };
    let checks: Vec<_> = (0..32).map(each).collect();
    let (said, log) = beside(
        (prepare, "true"),
        &[
            ("/etc/hosts", HOSTS),
            ("/etc/resolv.conf", "nameserver 127.0.0.53\n"),
        ],
        &[(
            "BERTH__READINESS__CHECKS",
            &format!("[{}]", checks.join(", ")),
        )],
        "sleep 5; grep -E '^(Threads|VmRSS)' /proc/$pid/status\n\
         ls /proc/$pid/fd | wc -l\n\
         kill -HUP $pid; sleep 1; grep -c SIGHUP \"$log\"",
    );
    let figures: Vec<usize> = said
        .lines()
        .flat_map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()))
        .collect();
    let [memory, threads, files, reloads] = figures[..] else {
        panic!("{said}\n{log}");
    };
    assert!(threads <= 12, "{threads} threads");
    assert!(memory < 40_000, "{memory} kB");
    assert!(files < 32 * 3 + 40, "{files} files");
    assert_eq!(reloads, 1, "{log}");
}
