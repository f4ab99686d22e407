//! Liveness and readiness.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Context, Endpoint, Methods, duration::compact, openapi};

/// `GET /health`: liveness. It answers as long as the process can answer anything; it never looks
/// at a dependency, and stays 200 while draining, so that a restart is never the answer to someone
/// else's outage.
pub const LIVENESS: Endpoint =
    Endpoint::new("/health", Methods::GET, || web::to(liveness), liveness_docs);

/// `GET /ready`: readiness. 503 with the reason keeps traffic away without a restart.
pub const READINESS: Endpoint = Endpoint::new(
    "/ready",
    Methods::GET,
    || web::to(readiness),
    readiness_docs,
);

/// Where the process is in its life. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not every part is up yet.
    StartingUp,
    /// Serving.
    Ready,
    /// A stop was asked for; what still comes in is still answered.
    ShuttingDown,
}

/// The state behind the probes.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    phase: AtomicU8,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(Phase::StartingUp as u8),
        }
    }
}

impl Health {
    /// Everything is up. Does nothing once the process is shutting down.
    pub fn started(&self) {
        self.advance(Phase::Ready);
    }

    /// A stop was asked for. There is no way back.
    pub fn shutting_down(&self) {
        self.advance(Phase::ShuttingDown);
    }

    /// Where the process is now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::StartingUp,
            1 => Phase::Ready,
            _ => Phase::ShuttingDown,
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
    uptime: String,
}

#[derive(Serialize)]
struct NotReady {
    status: &'static str,
    reason: &'static str,
}

async fn liveness(context: web::Data<Context>) -> impl Responder {
    alive("healthy", &context)
}

async fn readiness(context: web::Data<Context>) -> impl Responder {
    let reason = match context.health.phase() {
        Phase::Ready => return alive("ready", &context),
        Phase::StartingUp => "starting up",
        Phase::ShuttingDown => "shutting down",
    };
    HttpResponse::ServiceUnavailable()
        .insert_header(crate::NO_STORE)
        .json(NotReady {
            status: "not ready",
            reason,
        })
}

fn alive(status: &'static str, context: &Context) -> HttpResponse {
    let uptime = Duration::from_secs(context.health.uptime().as_secs());
    HttpResponse::Ok()
        .insert_header(crate::NO_STORE)
        .json(Alive {
            status,
            uptime: compact(uptime),
        })
}

fn alive_schema(status: &str) -> Value {
    json!({
        "type": "object",
        "required": ["status", "uptime"],
        "additionalProperties": false,
        "properties": {
            "status": { "const": status },
            "uptime": { "type": "string", "description": "Time since the start", "examples": ["1m30s"] }
        }
    })
}

fn liveness_docs() -> Value {
    json!({ "get": {
        "operationId": "liveness",
        "summary": "Liveness: the process can answer",
        "responses": {
            "200": openapi::json_response("Alive, also while draining", &alive_schema("healthy")),
            "default": openapi::problem()
        }
    } })
}

fn readiness_docs() -> Value {
    let not_ready = json!({
        "type": "object",
        "required": ["status", "reason"],
        "additionalProperties": false,
        "properties": {
            "status": { "const": "not ready" },
            "reason": { "enum": ["starting up", "shutting down"] }
        }
    });
    json!({ "get": {
        "operationId": "readiness",
        "summary": "Readiness: send traffic here",
        "responses": {
            "200": openapi::json_response("Ready", &alive_schema("ready")),
            "503": openapi::json_response("Not ready, and why", &not_ready),
            "default": openapi::problem()
        }
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_never_goes_back() {
        let health = Health::default();
        assert_eq!(health.phase(), Phase::StartingUp);
        health.started();
        assert_eq!(health.phase(), Phase::Ready);
        health.shutting_down();
        health.started();
        assert_eq!(health.phase(), Phase::ShuttingDown);
    }
}
