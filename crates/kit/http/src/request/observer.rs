//! What is told about each exchange, and what it learns of its end; [`Observed`](crate::Observed) tells it.

use std::time::Duration;

use actix_web::{dev::ServiceRequest, http::StatusCode};

use super::context::RequestContext;
use crate::table::RouteId;

/// Is told about every exchange.
pub trait Observe: 'static {
    /// What it remembers from the request until the end. It is used again for another request, so
    /// that what it has allocated need not be allocated anew.
    type Record: Default + 'static;

    /// A request has arrived. What `record` holds is that of an earlier one.
    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest);

    /// The exchange is over.
    fn end(&self, record: &mut Self::Record, request: &RequestContext, outcome: &Outcome);
}

/// Two observers, one after the other.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Record = (A::Record, B::Record);

    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest) {
        self.0.begin(&mut record.0, req);
        self.1.begin(&mut record.1, req);
    }

    fn end(&self, record: &mut Self::Record, request: &RequestContext, outcome: &Outcome) {
        self.0.end(&mut record.0, request, outcome);
        self.1.end(&mut record.1, request, outcome);
    }
}

/// An observer that may not be there.
impl<A: Observe> Observe for Option<A> {
    type Record = A::Record;

    fn begin(&self, record: &mut Self::Record, req: &ServiceRequest) {
        if let Some(observer) = self {
            observer.begin(record, req);
        }
    }

    fn end(&self, record: &mut Self::Record, request: &RequestContext, outcome: &Outcome) {
        if let Some(observer) = self {
            observer.end(record, request, outcome);
        }
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The route that the request belonged to.
    pub route: RouteId,
    /// The status that was sent; `None` when the exchange ended before there was one.
    pub status: Option<StatusCode>,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the answer's last byte, or to the end that came before it.
    pub elapsed: Duration,
    /// Whether the answer was handed to the connection in full.
    pub complete: bool,
}

impl Outcome {
    /// The status as a number; 499 when the exchange ended before there was one. That is not a
    /// registered code but the field's own name, from its proxies, for a request that was left.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status.map_or(499, |status| status.as_u16())
    }
}
