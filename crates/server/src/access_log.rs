//! One log line a request.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    dev::{ResponseHead, ServiceRequest},
    http::{
        Method, Uri,
        header::{self, HeaderValue},
    },
};
use berth_metrics::{Observe, Outcome, RouteId, Routes};

use crate::{
    correlation::{RequestId, TraceId, X_REQUEST_ID},
    logging::{ACCESS, Escaped},
};

/// Gives every request an id and, when it is over, a line in the log.
pub(crate) struct AccessLog {
    enabled: Arc<AtomicBool>,
    routes: Arc<Routes>,
}

impl AccessLog {
    pub(crate) fn new(enabled: Arc<AtomicBool>, routes: Arc<Routes>) -> Self {
        Self { enabled, routes }
    }
}

/// What the line needs from the request, which is gone by the time it is written. All of it shares
/// the request's own buffers.
pub(crate) struct Record {
    request_id: RequestId,
    line: Option<Request>,
}

struct Request {
    method: Method,
    uri: Uri,
    client_ip: Option<IpAddr>,
    trace_id: Option<TraceId>,
    user_agent: Option<HeaderValue>,
}

impl Observe for AccessLog {
    type Record = Record;

    fn begin(&self, req: &ServiceRequest, _: RouteId) -> Record {
        let wanted = self.enabled.load(Ordering::Relaxed)
            && log::log_enabled!(target: ACCESS, log::Level::Info);
        Record {
            request_id: RequestId::of(req.headers()),
            line: wanted.then(|| Request {
                method: req.method().clone(),
                uri: req.uri().clone(),
                client_ip: req.peer_addr().map(|addr| addr.ip()),
                trace_id: TraceId::of(req.headers()),
                user_agent: req.headers().get(header::USER_AGENT).cloned(),
            }),
        }
    }

    fn respond(&self, record: &mut Record, head: &mut ResponseHead) {
        head.headers_mut()
            .insert(X_REQUEST_ID, record.request_id.header_value());
    }

    fn end(&self, record: Record, outcome: &Outcome) {
        let Some(request) = record.line else {
            return;
        };
        let path = request.uri.path();
        let user_agent = request
            .user_agent
            .as_ref()
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let client_ip = request.client_ip.map(|ip| ip.to_string());
        let client_ip = client_ip.as_deref();
        let trace_id = request.trace_id.as_ref().map(TraceId::as_str);
        log::info!(
            target: ACCESS,
            method = request.method.as_str(),
            route = self.routes.name(outcome.route),
            path = path,
            status = outcome.status_code(),
            latency_us = u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX),
            bytes = outcome.bytes,
            client_ip = client_ip,
            request_id = record.request_id.as_str(),
            trace_id = trace_id,
            user_agent = user_agent.as_deref(),
            aborted = !outcome.complete;
            "{}",
            Line { request: &request, outcome }
        );
    }
}

/// The line for people: `[GET] /health 172.17.0.1 | Status: 200 | Latency: 500µs`.
struct Line<'a> {
    request: &'a Request,
    outcome: &'a Outcome,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {} ",
            self.request.method,
            Escaped(self.request.uri.path())
        )?;
        match self.request.client_ip {
            Some(ip) => write!(f, "{ip}")?,
            None => f.write_str("-")?,
        }
        let micros = u64::try_from(self.outcome.elapsed.as_micros()).unwrap_or(u64::MAX);
        let latency = Duration::from_micros(micros);
        write!(
            f,
            " | Status: {} | Latency: {latency:?}",
            self.outcome.status_code()
        )?;
        if !self.outcome.complete {
            f.write_str(" | aborted")?;
        }
        Ok(())
    }
}
