//! What was refused or closed because there was too much of it.

use prometheus::{IntCounterVec, Opts};

use super::Error;

/// Counters of the whole process, each reason from 0.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) shed: IntCounterVec,
    pub(crate) evicted: IntCounterVec,
}

impl Overload {
    pub(crate) fn new() -> Result<Self, Error> {
        let shed = IntCounterVec::new(
            Opts::new(
                "api_requests_shed_total",
                "Requests that were refused with 503 because there was too much to do.",
            ),
            &["reason"],
        )?;
        for reason in ["memory", "in_flight"] {
            shed.with_label_values(&[reason]);
        }
        let evicted = IntCounterVec::new(
            Opts::new(
                "berth_connections_evicted_total",
                "Connections that were closed for others: the limit of their number, or of memory, was reached.",
            ),
            &["reason"],
        )?;
        for reason in ["connections", "memory"] {
            evicted.with_label_values(&[reason]);
        }
        Ok(Self { shed, evicted })
    }
}
