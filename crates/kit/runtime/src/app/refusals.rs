//! What has not become a request, counted, logged and answered like any other.

use std::{sync::Arc, time::Duration};

use actix_web::{
    body::MessageBody as _,
    http::{StatusCode, header::RETRY_AFTER},
    web,
};
use berth_kit_http::{Outcome, Problem, RequestId, RouteId, ShedReason, ids::X_REQUEST_ID};
use berth_kit_telemetry::{
    log::{AccessLines, refused},
    metrics::Metrics,
};
use berth_kit_transport::{Events, Eviction, Refusal, RefusalBody};

/// What a worker's connections tell.
pub(crate) struct Refusals {
    /// None on the management port, whose requests are not counted.
    pub(crate) metrics: Option<web::Data<Metrics>>,
    pub(crate) access_lines: Arc<AccessLines>,
}

impl Events for Refusals {
    fn evicted(&self, eviction: Eviction) {
        if let Some(metrics) = &self.metrics {
            metrics.evicted(match eviction {
                Eviction::Connections => "connections",
                Eviction::Memory => "memory",
            });
        }
    }

    fn refused(&self, refusal: &Refusal) -> RefusalBody {
        let Refusal {
            status,
            peer,
            detail,
        } = *refusal;
        if let Some(metrics) = &self.metrics {
            metrics.refused(status.as_u16());
        }
        // The client's mistake: an operator who looks for one finds it, and nobody is called for it.
        log::debug!("refused what {} sent, with {status}: {detail}", peer.ip());
        let mut problem = Problem::new(status, detail);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem = problem.with_header((RETRY_AFTER, 1));
            if let Some(metrics) = &self.metrics {
                metrics.shed(ShedReason::Memory.name());
            }
        }
        let answer = problem.to_response();
        let id = String::from_utf8_lossy(RequestId::random().as_bytes()).into_owned();
        let mut headers = vec![(X_REQUEST_ID.as_str().to_owned(), id.clone())];
        for (name, value) in answer.headers() {
            if let Ok(value) = value.to_str() {
                headers.push((name.as_str().to_owned(), value.to_owned()));
            }
        }
        let bytes = answer.into_body().try_into_bytes().unwrap_or_default();
        let outcome = Outcome {
            route: RouteId::UNMATCHED,
            status: Some(status),
            bytes: bytes.len() as u64,
            elapsed: Duration::ZERO,
            complete: true,
        };
        refused(&self.access_lines, &id, peer, &outcome);
        RefusalBody {
            headers,
            bytes: bytes.into(),
        }
    }
}
