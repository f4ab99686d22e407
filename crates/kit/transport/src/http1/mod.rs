//! Requests and answers of HTTP/1, between hyper and actix.

pub(crate) mod adapter;
mod body;
pub(crate) mod date;
