//! The service: names its parts, and runs them.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth_kit::run(berth_kit::build_info!(), orders_handlers::build)
}
