//! docs/settings.md is what the program knows of its settings.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{env, fs, path::Path};

use berth_kit::{ServiceName, settings_reference};
use berth_testkit::service;
use orders_config::Settings;

const NAME: &str = env!("CARGO_PKG_NAME");

fn reference() -> String {
    settings_reference::<Settings>(ServiceName::new(NAME))
}

/// Whoever changes a setting sees it in review: `just settings-reference` writes it.
#[test]
fn the_reference_is_the_one_in_the_repository() {
    let text = reference();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    if env::var_os("WRITE_SETTINGS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == text,
        "{} is not what the program knows; `just settings-reference` writes it anew",
        file.display()
    );
}

#[test]
fn every_key_that_check_lists_is_in_the_reference_and_no_other() {
    let needed = [("ORDERS__DATABASE__URL", "postgres://db/orders")];
    let mut check = service(NAME, env!("CARGO_BIN_EXE_orders"), &needed);
    let output = check.arg("check").output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut keys: Vec<_> = listed
        .lines()
        .map(|row| row.split_once(" = ").unwrap().0)
        .collect();
    let text = reference();
    let headings = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let mut described: Vec<_> = headings.collect();
    assert!(keys.contains(&"server.port"), "{listed}");
    keys.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, keys);
}
