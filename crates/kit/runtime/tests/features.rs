//! What a program can do depends on the cargo features that it was built with, and `check`, the start and a reload say
//! so: the example `hello`, as a real process, with the features of this build.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

#[path = "support/examples.rs"]
mod examples;

use std::{fs, process::Command};

use berth_testkit::{Process, service};

const HAS_DEVTOOLS: bool = cfg!(feature = "devtools");

/// What a person is told who asks for debug routes that are not there.
const REFUSED: &str = "must be false, since this program was built without these routes; build it with the cargo \
                       feature devtools";

fn hello(environment: &[(&str, &str)]) -> Command {
    service("berth", examples::program("hello"), environment)
}

#[test]
fn debug_routes_that_are_not_built_in_are_refused() {
    let environment = [("BERTH__DEBUG__ROUTES", "true")];
    let check = hello(&environment).arg("check").output().unwrap();
    let told = String::from_utf8(check.stderr).unwrap();
    if HAS_DEVTOOLS {
        assert_eq!(check.status.code(), Some(0), "{told}");
        let server = Process::start(hello(&environment));
        assert_eq!(server.get("/debug/status/204").status, 204);
        return;
    }
    let start = hello(&environment).output().unwrap();
    assert_eq!(String::from_utf8(start.stderr).unwrap(), told);
    assert!(told.contains("BERTH__DEBUG__ROUTES"), "{told}");
    assert!(told.contains(REFUSED), "{told}");
    assert!(told.starts_with("1 fault in the settings:\n"), "{told}");
    for ended in [check.status, start.status] {
        assert_eq!(ended.code(), Some(2));
    }
}

/// All that the settings ask of the program in vain is told at once.
#[cfg(not(any(feature = "devtools", feature = "check-http")))]
#[test]
fn each_feature_that_is_missing_is_told() {
    let checks = "[{ name = 'shop', url = 'http://shop/health' }]";
    let environment = [
        ("BERTH__DEBUG__ROUTES", "true"),
        ("BERTH__READINESS__CHECKS", checks),
    ];
    let check = hello(&environment).arg("check").output().unwrap();
    assert_eq!(check.status.code(), Some(2));
    let told = String::from_utf8(check.stderr).unwrap();
    for feature in ["cargo feature check-http", REFUSED] {
        assert!(told.contains(feature), "{told}");
    }
}

/// A restart with them would not come up.
#[test]
fn debug_routes_that_are_not_built_in_are_refused_by_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "debug.routes = false\n").unwrap();
    let mut server = Process::start(hello(&[("BERTH_CONFIG", file.to_str().unwrap())]));
    fs::write(&file, "debug.routes = true\n").unwrap();
    server.wait_for_log(if HAS_DEVTOOLS {
        "needs a restart"
    } else {
        REFUSED
    });
    assert_eq!(server.get("/debug/status/204").status, 404);
    server.stop();
}

#[test]
fn what_asks_for_none_of_them_is_taken() {
    let server = Process::start(hello(&[
        ("BERTH__DEBUG__ROUTES", "false"),
        ("BERTH__MANAGEMENT__PORT", "0"),
    ]));
    assert_eq!(server.get("/api/v1/hello").status, 200);
    server.stop();
}
