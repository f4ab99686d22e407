//! The Berth server: command line, logging, composition of the app, and the life of the process.

mod access_log;
mod app;
mod cli;
mod connection;
mod correlation;
mod descriptors;
mod faults;
mod head;
mod healthcheck;
mod lifecycle;
mod listen;
mod lobby;
mod logging;
mod management;
mod memory;
#[cfg(test)]
mod properties;
mod readiness;
mod reload;

use std::process::ExitCode;

use berth_config::Sources;
use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let sources = Sources::from_process(cli.config);
    let loaded = match berth_config::load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => return cli::refuse(&error, cli.command),
    };
    match cli.command {
        None => lifecycle::run(sources, loaded),
        Some(Command::Check) => cli::print_settings(&loaded),
        Some(Command::Healthcheck) => healthcheck::run(&loaded.settings.server),
    }
}
