//! Settings that change while the server runs.

mod file;
