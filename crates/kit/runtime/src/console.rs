//! What a person is told beside the log, on standard error and standard output.
//!
//! Either may be a full disk or a pipe whose reader has left. That must change no exit code: `eprintln!` would panic.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    iter::successors,
};

/// Tells it on standard error, as a line; where that cannot be written, nobody can be told.
pub(crate) fn complain(message: impl fmt::Display) {
    let line = format!("{message}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// What went wrong, with what led to it, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = successors(Some(error), |error| (*error).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Prints it on standard output. Whoever closes the pipe has read enough: that is no error.
///
/// # Errors
///
/// When it cannot be written, such as to a full disk.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
