//! The reference of the settings is what the program knows of them.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use berth_kit::{ServiceName, settings_reference};
use berth_testkit::service;
use orders_config::Settings;

const NAME: &str = env!("CARGO_PKG_NAME");

// A copy of the workspace has docs/settings.md, too, and the test that compares it.
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
    let text = settings_reference::<Settings>(ServiceName::new(NAME));
    let headings = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let mut described: Vec<_> = headings.collect();
    assert!(keys.contains(&"orders.page_size"), "{listed}");
    assert!(keys.contains(&"server.port"), "{listed}");
    keys.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, keys);
}

#[test]
fn an_attempt_that_a_stop_would_cut_off_is_refused() {
    let settings = [
        ("ORDERS__DATABASE__URL", "postgres://db/orders"),
        ("ORDERS__PAYMENT__TIMEOUT", "5s"),
    ];
    let mut check = service(NAME, env!("CARGO_BIN_EXE_orders"), &settings);
    let output = check.arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(
            "payment.timeout = \"5s\" (environment variable ORDERS__PAYMENT__TIMEOUT): must be less"
        ) && said.contains("shutdown.timeout = \"5s\" (built-in default)"),
        "{said}"
    );
}
