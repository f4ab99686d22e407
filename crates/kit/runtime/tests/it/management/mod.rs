//! The management port.

mod port;
