//! Requests and their answers.

mod contract;
mod debug_routes;
mod keep_alive;
