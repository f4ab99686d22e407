//! Whoever changes what these routes take or answer sees the change in review.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{env, fs, path::Path};

use berth_kit_devtools::{debug, faults};
use berth_kit_http::{BuildInfo, Routes, openapi::Document};
use serde_json::Value;

#[actix_web::test]
async fn the_contract_is_the_one_in_the_repository() {
    let routes = Routes::new(|cfg| {
        cfg.configure(debug::routes).configure(faults::routes);
    });
    let survey = routes.survey().await.unwrap();
    let text = String::new;
    let info = BuildInfo {
        app: "devtools".to_owned(),
        version: "1".to_owned(),
        revision: text(),
        hostname: text(),
        env: text(),
        rustc: text(),
        message: text(),
    };
    let document = Document::new(&survey, &info).unwrap();
    let document: Value = serde_json::from_slice(document.bytes()).unwrap();
    let document = format!("{document:#}\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(&file, &document).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == document,
        "{} is not what is mounted; `WRITE_OPENAPI=1 cargo test -p berth-kit-devtools` writes it anew",
        file.display()
    );
}
