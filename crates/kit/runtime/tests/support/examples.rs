//! Where the examples are that the tests drive.

use std::{env, path::PathBuf, process::Command, sync::Once};

/// The features of this build, which the examples are built with, too.
const FEATURES: [(&str, bool); 5] = [
    ("devtools", cfg!(feature = "devtools")),
    ("check-http", cfg!(feature = "check-http")),
    ("check-https", cfg!(feature = "check-https")),
    ("check-postgres", cfg!(feature = "check-postgres")),
    ("check-redis", cfg!(feature = "check-redis")),
];

/// An example, which cargo builds for all tests of the package, but not for one that is named.
pub(crate) fn program(example: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let enabled = FEATURES.iter().filter(|(_, is_on)| *is_on);
        let features: Vec<_> = enabled.map(|(feature, _)| *feature).collect();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--examples"])
            .args(["--no-default-features", "--features", &features.join(",")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success());
    });
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(example)
}
