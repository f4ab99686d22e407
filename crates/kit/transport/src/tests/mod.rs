//! What holds of every request and every answer, and the tests that ask for it.

pub mod laws;
#[cfg(test)]
mod properties;
