//! Requests and their answers, and how long a connection waits for them.

mod bodies;
mod framing;
mod leaving;
mod timeouts;
