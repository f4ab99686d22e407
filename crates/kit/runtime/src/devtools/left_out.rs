//! What stands in for berth-kit-devtools: as much of it as this crate calls, and all of it does nothing.

pub(crate) mod debug {
    use berth_kit_http::ServiceConfig;

    pub(crate) fn routes(_: &mut ServiceConfig<'_>) {}
}

pub(crate) mod faults {
    use std::future::Ready;

    use actix_web::{
        Error,
        dev::{ServiceRequest, ServiceResponse},
    };
    use berth_kit_http::ServiceConfig;
    use berth_kit_telemetry::metrics::{self, Metrics};

    pub(crate) fn routes(_: &mut ServiceConfig<'_>) {}

    pub(crate) struct Faults;

    /// There is none.
    pub(crate) enum Fault {}

    impl Faults {
        #[allow(
            clippy::needless_pass_by_value,
            clippy::unnecessary_wraps,
            reason = "as where they are built in"
        )]
        pub(crate) fn new(_: Vec<String>, _: &Metrics) -> Result<Self, metrics::Error> {
            Ok(Self)
        }

        #[allow(clippy::unused_self, reason = "as where they are built in")]
        pub(crate) fn draw(&self) -> Option<Fault> {
            None
        }
    }

    impl Fault {
        #[allow(clippy::needless_pass_by_value, reason = "as where they are built in")]
        pub(crate) fn inject<S>(
            self,
            _: ServiceRequest,
            _: &S,
        ) -> Ready<Result<ServiceResponse, Error>> {
            match self {}
        }
    }
}
