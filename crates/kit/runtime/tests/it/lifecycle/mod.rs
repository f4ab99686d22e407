//! The life of the process, from its command line to its end.

mod broken_pipes;
mod cli;
#[cfg(target_os = "linux")]
mod healthcheck;
mod listening;
mod startup;
mod stop;
