//! Values that have types of their own.

use std::fmt;
use std::num::NonZeroUsize;

/// How many worker threads to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// As many as the CPU quota allows.
    Auto,
    /// This many, at most 512.
    Fixed(NonZeroUsize),
}

/// How many requests may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxInFlight {
    /// As many as are not much slower together than alone.
    Auto,
    /// This many, at most 1,000,000.
    Fixed(NonZeroUsize),
}

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
