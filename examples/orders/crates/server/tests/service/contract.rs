//! The contract: what is documented is what is served.

use std::{env, fs, path::Path};

use crate::{postgres::Database, process::start};

/// Whoever changes the contract sees the change in review: with `WRITE_OPENAPI=1`, this test writes it.
#[test]
fn the_contract_is_the_one_in_the_repository() {
    let service = start(&Database::new(), &[]);
    let document = service.get("/openapi.json").json();
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
    let document = format!("{document:#}\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(&file, &document).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == document,
        "{} is not what is served; WRITE_OPENAPI=1 writes it anew",
        file.display()
    );
    service.stop();
}
