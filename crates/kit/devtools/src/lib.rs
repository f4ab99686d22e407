//! For trying out timeouts, meshes, alerts and drains: routes that wait, block, fail and stream, and faults
//! that a share of all requests gets for a while. Never on in production.
//!
//! This crate has no switch of its own: `berth-kit` mounts it where `debug.routes` is set, if it was built with the
//! cargo feature `devtools`, as it is by default. A service has nothing to do with it, and tries its clients with it:
//!
//! ```console
//! $ SHOP__DEBUG__ROUTES=true SHOP__MANAGEMENT__PORT=9090 shop &
//! $ curl localhost:8080/debug/delay/250ms
//! $ curl -X PUT localhost:9090/faults -d '{ "share": 20, "status": 503, "for": "5m" }'
//! ```

pub mod debug;
pub mod faults;
