//! Puts into the binary what it is built from: the git commit and the compiler's version.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    println!("cargo:rustc-env=BUILD_REVISION={}", revision());
    println!("cargo:rustc-env=BUILD_RUSTC={}", rustc());
}

/// `BUILD_REVISION` where a build outside a checkout sets it (the image's does), else what git says.
fn revision() -> String {
    if let Some(given) = env::var("BUILD_REVISION").ok().filter(|r| !r.is_empty()) {
        return given;
    }
    // Built again when HEAD or the branch behind it moves.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = run("git", &["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    run("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn rustc() -> String {
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    run(&compiler, &["--version"])
        .and_then(|version| version.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
