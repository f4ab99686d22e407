//! The Berth server: command line, logging, composition of the app, and the lifecycle of the process.

mod access_log;
mod app;
mod cli;
mod correlation;
mod descriptors;
mod faults;
mod healthcheck;
mod lifecycle;
mod logging;
mod management;
mod memory;
mod ports;
#[cfg(test)]
mod properties;
mod readiness;
mod refusals;
mod reload;
mod signals;

use std::{mem::ManuallyDrop, process::ExitCode};

use actix_rt::System;

fn main() -> ExitCode {
    // Never dropped: that would wait for what blocks a thread beside it, such as a resolver without an
    // answer or a file system that hangs, and no signal would end the process.
    let system = ManuallyDrop::new(System::new());
    system.block_on(cli::run())
}
