//! As much of the server's `logging` as the escaping needs.

#[path = "../../server/src/logging/format.rs"]
#[expect(
    dead_code,
    reason = "the lines around what is escaped are not asked for"
)]
mod format;

pub(crate) use format::Escaped;
