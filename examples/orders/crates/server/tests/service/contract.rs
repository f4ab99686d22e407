//! The contract: what is documented is what is served.

use std::{env, fs, path::Path};

use berth_kit::{Routes, build_info, openapi};

use crate::{postgres::Database, process::start};

/// Whoever changes the contract sees the change in review: with `WRITE_OPENAPI=1`, this test writes it, without a
/// database.
#[test]
fn the_contract_is_the_one_in_the_repository() {
    let routes = Routes::new(orders_handlers::routes);
    let document = openapi(build_info!(), routes, &[]).unwrap();
    for path in [
        "/api/v1/orders",
        "/api/v1/orders/{id}",
        "/api/v1/orders/export",
        "/api/v1/admin/stats",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let admin = &document["paths"]["/api/v1/admin/stats"]["get"];
    assert!(admin["security"][0]["bearer"].is_array(), "{admin}");
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let text = format!("{document:#}\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(&file, text).unwrap();
        return;
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == text,
        "{} is not what is mounted; WRITE_OPENAPI=1 writes it anew",
        file.display()
    );
    let service = start(&Database::new(), &[]);
    assert_eq!(service.get("/openapi.json").json(), document);
    service.stop();
}
