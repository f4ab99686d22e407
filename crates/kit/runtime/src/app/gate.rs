//! What may keep a request from the routes of a port.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use berth_kit_devtools::faults::{Fault, Faults};
use berth_kit_http::Problem;

use super::hosts::AllowedHosts;

/// One thing at most: what keeps the management port's requests costs the public port nothing.
#[derive(Clone)]
pub(super) enum Gate {
    Open,
    /// On the public port, where faults can be injected.
    Faults(Arc<Faults>),
    /// On the management port.
    Hosts(Arc<AllowedHosts>),
}

/// Why a request is kept from the routes.
pub(super) enum Stopped {
    Fault(Fault),
    Refused(Box<Problem>),
}

impl Gate {
    pub(super) fn stops(&self, req: &ServiceRequest) -> Option<Stopped> {
        match self {
            Self::Open => None,
            Self::Faults(faults) => faults.draw().map(Stopped::Fault),
            Self::Hosts(hosts) => hosts.refuse(req).map(Box::new).map(Stopped::Refused),
        }
    }
}
