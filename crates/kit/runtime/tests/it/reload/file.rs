//! When the file is read again, what of it is then in force, and what a faulty one changes.

use std::{
    fs,
    net::TcpListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use berth_testkit::eventually;

use crate::process::{Berth, berth};

use super::{Mount, reloads, sample, serve};

#[test]
fn a_swapped_config_map_applies_at_once() {
    let mount = Mount::new("[log]\nformat = \"text\"\n");
    let mut server = mount.serve(&[]);
    assert_eq!(server.get("/debug/delay/300ms").status, 200);
    assert_eq!(reloads(&server, "success"), 0);

    mount.swap(
        "[server]\nrequest_timeout = \"100ms\"\nbacklog = 7\n\
         [log]\nformat = \"json\"\nfilter = \"debug\"\naccess = false\n",
    );
    let line = server.wait_for_log("server.backlog");
    assert!(
        line.starts_with('{') && line.contains("needs a restart"),
        "{line}"
    );
    server.wait_for_log("server.request_timeout = \\\"100ms\\\"");
    server.wait_for_log("log.access = false");
    server.get("/debug/delay/300ms").assert_problem(503);
    assert_eq!(reloads(&server, "success"), 1);
    assert_eq!(reloads(&server, "failure"), 0);

    let before = server.log().len();
    server.get("/api/v1/info?after");
    mount.swap("[log]\nfilter = \"warn\"\n");
    eventually("the third file", || reloads(&server, "success") == 2);
    assert_eq!(server.get("/debug/delay/300ms").status, 200);
    // Text again, access lines again, but nothing below a warning.
    let log = server.stop();
    assert!(
        !log[before..]
            .iter()
            .any(|line| line.contains("/api/v1/info") || line.contains("[GET]")),
        "{log:#?}"
    );
}

#[test]
fn a_swap_is_told_by_its_settings_and_by_nothing_else() {
    let mount = Mount::new("[log]\nformat = \"text\"\n");
    let mut server = mount.serve(&[]);
    let before = server.log().len();
    for seconds in 1..4 {
        mount.swap(&format!("[server]\nrequest_timeout = \"{seconds}s\"\n"));
        server.wait_for_log(&format!("server.request_timeout = \"{seconds}s\""));
    }
    // The folder of the first one is gone, and the watcher behind knows it by now.
    thread::sleep(Duration::from_millis(200));
    for line in &server.log()[before..] {
        assert!(line.contains("settings reloaded"), "{line}");
    }
    // Who wants to hear the watcher names it.
    let filter = "filter = \"info,notify=trace\"\n";
    mount.swap(&format!("[log]\n{filter}"));
    server.wait_for_log("log.filter");
    mount.swap(&format!(
        "[log]\n{filter}[server]\nrequest_timeout = \"9s\"\n"
    ));
    server.wait_for_log(" notify::");
}

#[test]
fn a_faulty_file_changes_nothing_and_every_fault_is_told() {
    let mount = Mount::new("[server]\nrequest_timeout = \"100ms\"\n");
    let mut server = mount.serve(&[]);
    let started = sample(
        &server,
        "berth_config_last_reload_success_timestamp_seconds",
    );

    mount.swap("[server]\nrequest_timeout = \"10s\"\nprot = 1\n[log]\nformat = \"xml\"\n");
    let line = server.wait_for_log("server.prot");
    assert!(line.contains("did you mean `server.port`?"), "{line}");
    let line = server.wait_for_log("log.format = \"xml\"");
    assert!(
        line.contains(" ERROR ") && line.contains("must be \"text\" or \"json\""),
        "{line}"
    );
    server.get("/debug/delay/300ms").assert_problem(503);
    assert_eq!(reloads(&server, "failure"), 1);
    assert_eq!(sample(&server, "berth_config_last_reload_successful"), "0");
    let last = sample(
        &server,
        "berth_config_last_reload_success_timestamp_seconds",
    );
    assert_eq!(last, started);

    // The first file again: nothing new, but nothing wrong any more.
    mount.swap("[server]\nrequest_timeout = \"100ms\"\n");
    eventually("all is well", || reloads(&server, "success") == 1);
    assert_eq!(sample(&server, "berth_config_last_reload_successful"), "1");
    let last = sample(
        &server,
        "berth_config_last_reload_success_timestamp_seconds",
    );
    let seconds = |text: &str| text.parse::<f64>().unwrap();
    assert!(seconds(&last) > seconds(&started));
    // Nobody is told twice of the same mistake.
    let log = server.stop();
    let told = log.iter().filter(|line| line.contains("server.prot"));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_file_that_is_truncated_or_gone_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = |timeout| format!("[server]\nrequest_timeout = \"{timeout}\"\n");
    fs::write(&file, text("100ms")).unwrap();
    let mut server = serve(&file, &[]);
    let mut failures = 0;
    let mut fails = |server: &mut Berth, why: &str| {
        failures += 1;
        server.wait_for_log(why);
        assert_eq!(reloads(server, "failure"), failures);
        server.get("/debug/delay/300ms").assert_problem(503);
    };

    fs::write(&file, "").unwrap();
    fails(&mut server, "the file is empty");
    fs::write(&file, "[server]\nrequest_timeout = \"1").unwrap();
    fails(&mut server, "cannot be parsed: line 2");
    fs::remove_file(&file).unwrap();
    fails(&mut server, "No such file");

    for (successes, timeout) in [(1, "10s"), (2, "9s")] {
        fs::write(&file, text(timeout)).unwrap();
        eventually("the new file", || reloads(&server, "success") == successes);
        assert_eq!(server.get("/debug/delay/300ms").status, 200);
        // Removed and made again, as editors do it.
        fs::remove_file(&file).unwrap();
    }
    fs::write(&file, text("100ms")).unwrap();
    eventually("the last file", || {
        server.get("/debug/delay/300ms").status == 503
    });
    server.stop();
}

#[test]
fn sighup_reads_the_file_again() {
    let mount = Mount::new("# nothing\n");
    let mut server = mount.serve(&[]);
    server.signal("HUP");
    let line = server.wait_for_log("settings reloaded (SIGHUP)");
    assert!(line.contains("nothing new is in force"), "{line}");
    assert_eq!(reloads(&server, "success"), 1);
    server.stop();

    // And does no harm where there is no file.
    let mut server = Berth::start(&[]);
    server.signal("HUP");
    server.wait_for_log("settings reloaded (SIGHUP)");
    assert_eq!(server.get("/health").status, 200);
    server.stop();
}

#[test]
fn a_change_right_after_the_start_is_not_missed() {
    // The log says that the port is bound before anything is watched.
    for _ in 0..5 {
        let mount = Mount::new("# nothing\n");
        let mut server = mount.serve(&[]);
        mount.swap("[log]\naccess = false\n");
        server.wait_for_log("log.access = false");
        server.stop();
    }
}

#[test]
fn what_the_environment_sets_is_not_changed_by_the_file() {
    let mount = Mount::new("# nothing\n");
    let mut server = mount.serve(&[("BERTH__SERVER__REQUEST_TIMEOUT", "10s")]);
    mount.swap("[server]\nrequest_timeout = \"100ms\"\n[log]\naccess = false\n");
    server.wait_for_log("log.access = false");
    assert_eq!(server.get("/debug/delay/300ms").status, 200);
    server.stop();
}

#[test]
fn a_hundred_swaps_under_load_fail_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let text = |number: usize| {
        let check = |at| {
            format!(
                "[[readiness.checks]]\nname = \"c{at}\"\nurl = \"tcp://{there}\"\ninterval = \"{}s\"\n",
                1 + number % 5
            )
        };
        let checks = (0..number % 3).map(check).collect::<Vec<_>>().concat();
        format!(
            "[server]\nrequest_timeout = \"{}s\"\n[shutdown]\ntimeout = \"{}s\"\n\
             [log]\nformat = \"{}\"\naccess = {}\nfilter = \"{}\"\n{checks}",
            10 + number,
            1 + number % 7,
            ["text", "json"][number % 2],
            number % 4 < 2,
            ["info", "warn", "debug"][number % 3],
        )
    };
    let mount = Mount::new(&text(0));
    let server = mount.serve(&[]);
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered, addr) = (Arc::clone(&done), Arc::clone(&answered), server.addr);
            thread::spawn(move || {
                let mut client = berth_testkit::Client::connect(addr);
                while !done.load(Ordering::Relaxed) {
                    for path in ["/api/v1/hello", "/ready", "/debug/delay/5ms"] {
                        assert_eq!(client.get(path).status, 200);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for number in 1..=100 {
        let before = reloads(&server, "success");
        mount.swap(&text(number));
        eventually("the next one", || reloads(&server, "success") > before);
    }
    done.store(true, Ordering::Relaxed);
    for client in load {
        client.join().unwrap();
    }
    assert_eq!(reloads(&server, "failure"), 0);
    assert!(answered.load(Ordering::Relaxed) > 1000);
    server.stop();
}

#[test]
fn what_is_no_regular_file_is_refused_at_once_and_the_next_file_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[log]\nformat = \"text\"\n").unwrap();
    let mut server = serve(&file, &[]);

    // Whoever opens a pipe waits for somebody who writes to it; a sparse file is as long as it likes to be.
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    server.wait_for_log("it is a pipe, a socket or a device; name a regular file");
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(600 << 20).unwrap();
    fs::rename(folder.path().join("sparse"), &file).unwrap();
    server.wait_for_log("it is larger than 1 MiB");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let peak = peak
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    assert!(
        peak.parse::<u32>().unwrap() < 100_000,
        "{peak} kB of memory"
    );

    fs::remove_file(&file).unwrap();
    fs::write(&file, "[log]\nfilter = \"debug\"\n").unwrap();
    server.wait_for_log("log.filter = \"debug\"");
    server.stop();
}

#[test]
fn a_pipe_as_settings_file_ends_the_start_and_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    for arguments in [&["check"][..], &[]] {
        let output = berth(&[("BERTH_CONFIG", file.to_str().unwrap())])
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("it is a pipe"), "{told}");
    }
}

/// They wait for a restart, which would not come up.
#[test]
fn metrics_at_the_path_of_another_route_are_refused_before_a_restart_is() {
    let mount = Mount::new("[log]\nformat = \"text\"\n");
    let mut server = mount.serve(&[]);
    for (count, (path, by)) in [
        ("/ready/metrics", "the kit's /ready/{check} answers there"),
        (
            "/api/v1/info",
            "the service's own /api/v1/info answers there",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        mount.swap(&format!("[metrics]\npath = \"{path}\"\n"));
        let line = server.wait_for_log(by);
        assert!(
            line.contains("settings not reloaded") && line.contains(&format!("= \"{path}\"")),
            "{line}"
        );
        let failed = u64::try_from(count).unwrap() + 1;
        eventually("counted", || reloads(&server, "failure") == failed);
    }
    mount.swap("[metrics]\npath = \"/scrape\"\n");
    server.wait_for_log("metrics.path = \"/scrape\"");
    server.stop();
}
