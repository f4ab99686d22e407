//! A request while it is handled, and what is told of it when it is over.

pub(crate) mod client;
pub(crate) mod context;
pub mod ids;
pub(crate) mod observe;
pub(crate) mod observer;
