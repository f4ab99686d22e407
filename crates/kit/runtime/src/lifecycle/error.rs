//! Why the service does not start, or ends by itself.

use std::io;

use actix_rt::task::JoinError;
use berth_kit_health::CheckError;
use berth_kit_telemetry::metrics;
use berth_kit_transport::listen;

use crate::{app::MountError, management::ManagementError};

/// What ends the process without a signal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// The service's own code cannot build it.
    #[error("the service cannot be built")]
    Build(#[source] anyhow::Error),
    #[error("the service cannot be built: it panicked, and the log says where")]
    BuildPanicked,
    /// What it has built does not go together.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Its readiness checks cannot be run.
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// A metric of the kit has the name of one of the service's.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
    #[error(transparent)]
    Management(#[from] ManagementError),
    /// The system does not serve on what is bound.
    #[error(transparent)]
    Serve(#[from] io::Error),
    #[error("the server ended as it started")]
    EndedAtOnce(#[source] io::Error),
    #[error("the server failed")]
    Server(#[source] io::Error),
    #[error("the server has ended without a signal")]
    EndedUnasked,
    /// Something that runs beside has panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

impl Failure {
    /// 2 where the settings are to be changed, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        let is_of_settings = match self {
            // Only the service that was built could tell that they do not go with it.
            Self::Mount(MountError::Settings(_)) => true,
            Self::Build(error) => error.is::<berth_kit_settings::Error>(),
            _ => false,
        };
        if is_of_settings { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use berth_kit_settings::{ServiceName, Sources, load};

    use super::*;
    use crate::console::with_causes;

    #[test]
    fn what_the_service_says_of_its_failure_is_told_with_its_causes() {
        let error = anyhow!("connection refused").context("no database");
        let failure = Failure::Build(error);
        let told = "the service cannot be built: no database: connection refused";
        assert_eq!(with_causes(&failure), told);
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_fault_of_the_settings_is_one_whoever_finds_it() {
        let loaded = load(&Sources::new(ServiceName::new("shop"), "1")).unwrap();
        let fault = || loaded.refuse("metrics.path", "must be another one");
        let by_the_kit = Failure::from(MountError::from(fault()));
        assert_eq!(with_causes(&by_the_kit), fault().to_string());
        assert_eq!(by_the_kit.exit_code(), 2);
        let error = anyhow::Error::from(fault()).context("the shop");
        assert_eq!(Failure::Build(error).exit_code(), 2);
    }
}
