//! What a handler takes of a request as its argument, each refusal a [`Problem`](crate::Problem).

mod context;
mod objects;
pub(crate) mod query;
pub(crate) mod valid;
