//! What a service mounts, and how it is mounted.

pub(crate) mod documented;
mod groups;
pub(crate) mod method;
pub(crate) mod mount;
pub(crate) mod routes;
pub(crate) mod scope;
pub(crate) mod survey;
