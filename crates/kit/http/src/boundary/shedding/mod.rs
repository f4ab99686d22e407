//! Which requests are refused because there is too much to do.

mod adaptive;
mod in_flight;

use std::{
    cell::RefCell,
    fmt,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    dev::ServiceRequest,
    http::{StatusCode, header::RETRY_AFTER},
};
use berth_kit_memory::{Budget, Pressure};

use adaptive::AdaptiveLimit;
pub use adaptive::AdaptiveLimits;
use in_flight::FixedLimit;
pub(crate) use in_flight::{Admitted, Begin};

use crate::{problem::Problem, request::context::RequestContext};

/// What is larger, in bytes, is refused already where memory runs short.
const LARGE_BODY: u64 = 64 * 1024;
const LARGE_HEAD: usize = 8 * 1024;

thread_local! {
    /// The adaptive limit of the worker whose thread this is.
    static OF_THIS_THREAD: RefCell<Weak<AdaptiveLimit>> = const { RefCell::new(Weak::new()) };
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShedReason {
    /// The process is short of memory.
    Memory,
    /// As many requests are in flight as may be.
    InFlight,
}

impl ShedReason {
    /// Its name in metrics: `memory` or `in_flight`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::InFlight => "in_flight",
        }
    }
}

/// Refuses requests that are too many, or that there is no memory for; but none of some routes.
#[derive(Clone)]
pub struct Shedding {
    memory: Option<Arc<Budget>>,
    in_flight: MaxInFlight,
    exempt: Arc<[String]>,
    counted: Arc<dyn Fn(ShedReason) + Send + Sync>,
}

/// How many requests may be in flight.
#[derive(Debug, Clone)]
enum MaxInFlight {
    Any,
    Fixed(Arc<FixedLimit>),
    Adaptive(Arc<AdaptiveLimits>),
}

/// What a worker sheds load by.
#[derive(Debug, Default)]
pub(crate) struct OfWorker(Option<Rc<AdaptiveLimit>>);

impl Shedding {
    /// Refuses none as yet, and will never one of the routes of these patterns; calls `counted` for each that is refused.
    #[must_use]
    pub fn new(
        exempt: impl IntoIterator<Item = String>,
        counted: impl Fn(ShedReason) + Send + Sync + 'static,
    ) -> Self {
        Self {
            memory: None,
            in_flight: MaxInFlight::Any,
            exempt: exempt.into_iter().collect(),
            counted: Arc::new(counted),
        }
    }

    /// Refuses large requests where this is nearly used up, and all where it is.
    #[must_use]
    pub fn memory(self, budget: Option<Arc<Budget>>) -> Self {
        Self {
            memory: budget,
            ..self
        }
    }

    /// Refuses a request where so many others are in flight.
    #[must_use]
    pub fn max_in_flight(self, max: usize) -> Self {
        Self {
            in_flight: MaxInFlight::Fixed(Arc::new(FixedLimit::new(max))),
            ..self
        }
    }

    /// Refuses requests where those in flight take much longer together than they would alone. How many are taken on
    /// is found out, and told.
    #[must_use]
    pub fn adaptive(self) -> (Self, Arc<AdaptiveLimits>) {
        let workers = Arc::new(AdaptiveLimits::new(Instant::now()));
        let shedding = Self {
            in_flight: MaxInFlight::Adaptive(Arc::clone(&workers)),
            ..self
        };
        (shedding, workers)
    }

    /// For the worker whose thread this is.
    pub(crate) fn of_worker(&self) -> OfWorker {
        let MaxInFlight::Adaptive(all) = &self.in_flight else {
            return OfWorker::default();
        };
        // A worker has an app for each listener, and one limit.
        let limit = OF_THIS_THREAD.with_borrow_mut(|last| match last.upgrade() {
            Some(limit) if limit.is_one_of(all) => limit,
            _ => {
                let limit = AdaptiveLimit::new(Arc::clone(all), Instant::now(), worked());
                let limit = Rc::new(limit);
                *last = Rc::downgrade(&limit);
                limit
            }
        });
        OfWorker(Some(limit))
    }

    /// Takes a request on.
    ///
    /// # Errors
    ///
    /// When there is too much to do.
    pub(crate) fn admit(
        &self,
        req: &ServiceRequest,
        request: &RequestContext,
        worker: &OfWorker,
    ) -> Result<Admitted, Problem> {
        let is_large = || request.announced() > LARGE_BODY || head_length(req) > LARGE_HEAD;
        self.look_at_memory(request, is_large)?;
        let admitted = match (&self.in_flight, &worker.0) {
            (MaxInFlight::Any, _) => return Ok(Admitted::default()),
            _ if self.is_exempt(request) => return Ok(Admitted::default()),
            (MaxInFlight::Fixed(limit), _) => limit.admit(),
            (MaxInFlight::Adaptive(_), Some(limit)) => Admitted::adaptive(limit, request),
            (MaxInFlight::Adaptive(_), None) => return Ok(Admitted::default()),
        };
        admitted.ok_or_else(|| self.refuse(ShedReason::InFlight))
    }

    /// Looks whether more of a body can be read, of which so many bytes have been.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub(crate) fn read_on(&self, request: &RequestContext, read: usize) -> Result<(), Problem> {
        self.look_at_memory(request, || read as u64 > LARGE_BODY)
    }

    fn look_at_memory(
        &self,
        request: &RequestContext,
        is_large: impl Fn() -> bool,
    ) -> Result<(), Problem> {
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let is_too_much = match memory.pressure() {
            Pressure::None => false,
            Pressure::High => is_large(),
            Pressure::Full => true,
        };
        if is_too_much && !self.is_exempt(request) {
            return Err(self.refuse(ShedReason::Memory));
        }
        Ok(())
    }

    fn is_exempt(&self, request: &RequestContext) -> bool {
        self.exempt.iter().any(|route| route == request.route())
    }

    fn refuse(&self, reason: ShedReason) -> Problem {
        (self.counted)(reason);
        problem(reason)
    }
}

/// For how long this thread's runtime has been at work, as often as it is asked.
fn worked() -> impl Fn() -> Duration {
    let runtime = tokio::runtime::Handle::try_current();
    let metrics = runtime.map(|runtime| runtime.metrics());
    move || {
        let metrics = metrics.as_ref();
        metrics.map_or(Duration::ZERO, |metrics| {
            metrics.worker_total_busy_duration(0)
        })
    }
}

/// What a request is answered that is refused.
pub(crate) fn problem(reason: ShedReason) -> Problem {
    let detail = match reason {
        ShedReason::Memory => "this server is short of memory; try again in a moment",
        ShedReason::InFlight => {
            "this server is at as many requests as it takes on; try again in a moment"
        }
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header((RETRY_AFTER, 1))
}

/// What the headers of a request take, in bytes.
fn head_length(req: &ServiceRequest) -> usize {
    let headers = req.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

impl fmt::Debug for Shedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shedding")
            .field("memory", &self.memory)
            .field("in_flight", &self.in_flight)
            .field("exempt", &self.exempt)
            .finish_non_exhaustive()
    }
}
