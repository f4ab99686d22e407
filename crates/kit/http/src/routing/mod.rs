//! What a service mounts, and how it is mounted.

mod groups;
pub(crate) mod method;
pub(crate) mod mount;
pub(crate) mod routes;
