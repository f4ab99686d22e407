//! Which requests are refused where the process is short of memory.

use std::{fmt, sync::Arc};

use actix_web::{
    dev::ServiceRequest,
    http::{StatusCode, header::RETRY_AFTER},
};
use berth_kit_memory::{Budget, Pressure};

use crate::{problem::Problem, request::context::RequestContext};

/// What is larger, in bytes, is refused under pressure already.
const LARGE_BODY: u64 = 64 * 1024;
const LARGE_HEAD: usize = 8 * 1024;

/// Refuses requests where the process is short of memory: all of them where nothing is left, but for those of some
/// routes; and large ones a little earlier.
#[derive(Clone)]
pub struct Shedding {
    budget: Arc<Budget>,
    exempt: Arc<[String]>,
    counted: Arc<dyn Fn() + Send + Sync>,
}

impl Shedding {
    /// Holds to `budget`, but for the routes of these patterns, and calls `counted` for each request that is refused.
    #[must_use]
    pub fn new(
        budget: Arc<Budget>,
        exempt: impl IntoIterator<Item = String>,
        counted: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            budget,
            exempt: exempt.into_iter().collect(),
            counted: Arc::new(counted),
        }
    }

    /// Why a request cannot be taken on.
    pub(crate) fn refuse(&self, req: &ServiceRequest, request: &RequestContext) -> Option<Problem> {
        self.shed(request, || {
            request.announced() > LARGE_BODY || head_length(req) > LARGE_HEAD
        })
    }

    /// Why no more of a body can be read, of which so many bytes have been.
    pub(crate) fn refuse_body(&self, request: &RequestContext, read: usize) -> Option<Problem> {
        self.shed(request, || read as u64 > LARGE_BODY)
    }

    fn shed(&self, request: &RequestContext, is_large: impl Fn() -> bool) -> Option<Problem> {
        let is_too_much = match self.budget.pressure() {
            Pressure::None => false,
            Pressure::High => is_large(),
            Pressure::Full => true,
        };
        if !is_too_much || self.exempt.iter().any(|route| route == request.route()) {
            return None;
        }
        (self.counted)();
        Some(problem())
    }
}

/// What the headers of a request take, in bytes.
fn head_length(req: &ServiceRequest) -> usize {
    let headers = req.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// What a request is answered that there is no memory for.
pub(crate) fn problem() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "this server is short of memory; try again in a moment",
    )
    .with_header((RETRY_AFTER, 1))
}

impl fmt::Debug for Shedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shedding")
            .field("budget", &self.budget)
            .field("exempt", &self.exempt)
            .finish_non_exhaustive()
    }
}
