//! The command line.

mod healthcheck;

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use berth_kit_health::Checks;
use berth_kit_http::Routes;
use berth_kit_settings::{Error, Loaded, ServiceName, ServiceSettings, Sources};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    app::metrics_path,
    console::{self, complain, with_causes},
    devtools,
    lifecycle::{
        self, interruptible,
        signals::{self, Signals, TerminationSignal},
    },
    runtime::{Build, Runtime},
};

/// How far the origins of settings may stand to the right, in characters.
const WIDEST: usize = 60;

fn after_help(name: ServiceName) -> String {
    format!(
        "\
Settings come from, later wins:
  1. the built-in defaults
  2. the file given by --config or {file} (.toml, .yaml or .yml)
  3. environment variables {prefix}SECTION__KEY, such as {example}=10s
  4. PORT, ENVIRONMENT, APP_NAME and VERSION
An empty variable counts as unset.
`{name} check` lists every setting, its value and where the value came from.

Signals: SIGTERM or SIGINT drains and stops; a second one stops at once. SIGHUP reads the settings
file again, as a change of the file does.

Exit codes:
  0        stopped, every request answered
  1        could not start, or requests were cut off at the end of shutdown.timeout
  2        the settings or the command line are wrong
  128 + n  stopped at once by a second signal n

Examples:
  {name}
      serve on port 8080
  PORT=9000 {name}
      serve on port 9000
  {name} --config {name}.toml check
      is this file right?",
        file = name.config_variable(),
        prefix = name.prefix(),
        example = name.variable("server.request_timeout"),
    )
}

/// A cloud-native HTTP service: serves until SIGTERM, then drains.
#[derive(Debug, Parser)]
struct Cli {
    /// Settings file, TOML or YAML
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Command {
    /// Check the settings and print them, each with where it came from
    ///
    /// Starts nothing. Ends with 0 when the settings are right, 2 when they are wrong; then every
    /// fault is listed, not just the first.
    Check,
    /// Ask the server on this machine for /health
    ///
    /// The one that runs and was started with the same --config and variables, as far as they are
    /// given here, whatever its file says by now; where there is none, or several, the one that
    /// the settings name. Ends with 0 when it answers 200 within two seconds, else with 1. Made
    /// for a container's HEALTHCHECK, where there is no shell and no curl.
    Healthcheck,
}

impl Cli {
    /// The command line of this process; ends it where that is wrong, or asks for help.
    fn of_process(build: Build) -> Self {
        let Build {
            name,
            version,
            revision,
            rustc,
        } = build;
        let version = format!("{version} (revision {revision}, rustc {rustc})");
        let matches = Self::command_of(name).version(version).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line as this service has it.
    fn command_of(name: ServiceName) -> clap::Command {
        let file = format!(
            "Settings file, TOML or YAML [default: what {} names]",
            name.config_variable()
        );
        Self::command()
            .name(name.as_str())
            .after_help(after_help(name))
            .mut_arg("config", |arg| arg.help(file))
    }
}

/// Does what the command line asks for.
pub(crate) async fn run<S: ServiceSettings + Send + 'static>(
    build: Build,
    make: impl AsyncFnOnce(S, &mut Runtime) -> anyhow::Result<Routes>,
) -> ExitCode {
    // First of all: a process that is the first of its container loses a signal without a handler.
    let (mut signals, hangups) = match (Signals::new(), signals::hangups()) {
        (Ok(signals), Ok(hangups)) => (signals, hangups),
        (Err(error), _) | (_, Err(error)) => {
            complain(format_args!("cannot listen for signals: {error}"));
            return ExitCode::from(1);
        }
    };
    let Cli { config, command } = Cli::of_process(build);
    let sources = Sources::from_process(build.name, build.version, config.clone());
    let wanted = sources.clone();
    // The settings file may be on a file system that hangs, and standard output a full pipe.
    let prepared = interruptible(&mut signals, move || {
        if command == Some(Command::Healthcheck) {
            return Err(healthcheck::run::<S>(wanted, config));
        }
        let (loaded, own) =
            berth_kit_settings::load_as::<S>(&wanted).map_err(|error| refuse(&error))?;
        // What `check` passes, the same program starts with.
        if can_be_run(&loaded) {
            Ok((loaded, own))
        } else {
            Err(ExitCode::from(2))
        }
    });
    let (loaded, own) = match prepared.await {
        Ok(Ok(Ok(prepared))) => prepared,
        Ok(Ok(Err(code))) => return code,
        Ok(Err(signal)) => return interrupted(signal, command),
        Err(error) => {
            complain(error);
            return ExitCode::from(1);
        }
    };
    if let Err(error) = metrics_path::beside_the_kit(&loaded).await {
        complain(with_causes(&error));
        return ExitCode::from(2);
    }
    if command.is_none() {
        return lifecycle::run(build, make, own, sources, loaded, signals, hangups).await;
    }
    for variable in &loaded.ignored {
        complain(format_args!("warning: {variable}"));
    }
    match interruptible(&mut signals, move || print_settings(&loaded)).await {
        Ok(Ok(code)) => code,
        Ok(Err(signal)) => interrupted(signal, command),
        Err(error) => {
            complain(error);
            ExitCode::from(1)
        }
    }
}

/// The exit code for a signal that came before anything was served.
fn interrupted(signal: TerminationSignal, command: Option<Command>) -> ExitCode {
    if command.is_some() {
        return ExitCode::from(signal.exit_code());
    }
    complain(format_args!(
        "stopped: {} came while the settings were read",
        signal.name()
    ));
    ExitCode::SUCCESS
}

/// Tells why the settings cannot be used, and gives the exit code for it.
fn refuse(error: &Error) -> ExitCode {
    complain(error);
    ExitCode::from(2)
}

/// Whether this program can do what the settings ask it for; else it is told what not.
fn can_be_run(loaded: &Loaded) -> bool {
    let faults = Checks::faults(&loaded.settings.readiness.checks);
    for fault in &faults {
        complain(fault);
    }
    let devtools = devtools::needed(loaded).inspect_err(|fault| complain(fault));
    faults.is_empty() && devtools.is_ok()
}

/// Prints the effective settings, one a line, aligned.
fn print_settings(loaded: &Loaded) -> ExitCode {
    let rows: Vec<_> = loaded
        .entries
        .iter()
        .map(|entry| (format!("{} = {}", entry.key, entry.value), &entry.origin))
        .collect();
    // A list of readiness checks is longer than a line, and moves no other row's origin.
    let widths = rows.iter().map(|(row, _)| row.chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for (row, origin) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{row:<width$}  # {origin}");
    }
    match console::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("cannot print the settings: {error}"));
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_the_services_own() {
        let name = ServiceName::new("my-shop");
        let mut command = Cli::command_of(name).version("1.2.3");
        let help = command.render_long_help().to_string();
        for text in [
            "Usage: my-shop [OPTIONS] [COMMAND]",
            "[default: what MY_SHOP_CONFIG names]",
            "--config or MY_SHOP_CONFIG (",
            "variables MY_SHOP__SECTION__KEY, such as MY_SHOP__SERVER__REQUEST_TIMEOUT=10s",
            "`my-shop check` lists",
            "PORT=9000 my-shop\n",
        ] {
            assert!(help.contains(text), "{text} in {help}");
        }
        assert!(!help.to_lowercase().contains("berth"), "{help}");
        assert_eq!(command.render_version(), "my-shop 1.2.3\n");
    }
}
