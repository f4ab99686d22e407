//! What may keep a request from the routes of a port.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
};

use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceRequest, ServiceResponse},
};
use berth_kit_http::Problem;
use futures_util::future::Either;

use super::hosts::AllowedHosts;
use crate::devtools::faults::{Fault, Faults};

/// One thing at most, and on the public port mostly none: what keeps the management port's requests costs it nothing.
#[derive(Clone)]
pub(super) enum Gate {
    /// On the public port, where faults can be injected.
    Faults(Arc<Faults>),
    /// On the management port.
    Hosts(Arc<AllowedHosts>),
}

/// Why a request is kept from the routes.
pub(super) enum Stopped {
    Fault(Fault),
    Refused(Problem),
}

impl Gate {
    // Out of the way of requests for which there is no gate.
    #[cold]
    pub(super) fn stops(&self, req: &ServiceRequest) -> Option<Box<Stopped>> {
        let stopped = match self {
            Self::Faults(faults) => faults.draw().map(Stopped::Fault),
            Self::Hosts(hosts) => hosts.refuse(req).map(Stopped::Refused),
        };
        stopped.map(Box::new)
    }
}

type Answer = Result<ServiceResponse, Error>;

impl Stopped {
    #[cold]
    pub(super) fn answer<S>(
        self,
        req: ServiceRequest,
        next: &S,
    ) -> Pin<Box<impl Future<Output = Answer> + use<S>>>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        Box::pin(match self {
            Self::Fault(fault) => Either::Left(fault.inject(req, next)),
            Self::Refused(problem) => {
                Either::Right(ready(Ok(req.into_response(problem.to_response()))))
            }
        })
    }
}
