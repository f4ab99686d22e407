//! For trying out timeouts, meshes, alerts and drains: routes that wait, block, fail and stream, and faults
//! that a share of all requests gets for a while. Never on in production.

pub mod debug;
pub mod faults;
