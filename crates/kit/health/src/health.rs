//! Liveness and readiness.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, Responder, http::StatusCode, web};
use arc_swap::ArcSwap;
use serde::Serialize;

use berth_kit_http::{Endpoint, Methods, NO_STORE, Problem, Query, duration::compact};

use crate::readiness::{CheckState, Snapshot, Status};

/// `GET /health`: liveness. It answers as long as the process can answer anything; it never looks
/// at a dependency, and stays 200 while draining, so that a restart is never the answer to someone
/// else's outage.
pub const LIVENESS: Endpoint = Endpoint::new(
    "/health",
    Methods::GET,
    || web::to(liveness),
    include_str!("../openapi/liveness.json"),
);

/// `GET /ready`: readiness. 503 with the reason keeps traffic away without a restart. With
/// `?verbose` it lists every check.
pub const READINESS: Endpoint = Endpoint::new(
    "/ready",
    Methods::GET,
    || web::to(readiness),
    include_str!("../openapi/readiness.json"),
);

/// `GET /ready/{check}`: what is known of one dependency.
pub const DEPENDENCY: Endpoint = Endpoint::new(
    "/ready/{check}",
    Methods::GET,
    || web::to(dependency),
    include_str!("../openapi/dependency.json"),
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
    dependencies: ArcSwap<Vec<Arc<CheckState>>>,
}

impl Health {
    /// A process that starts up now, and is ready only while what it requires is there.
    #[must_use]
    pub fn new(dependencies: Vec<Arc<CheckState>>) -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(Phase::StartingUp as u8),
            dependencies: ArcSwap::from_pointee(dependencies),
        }
    }

    /// Whether `/ready` answers 200.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
            && self.dependencies.load().iter().all(|dependency| {
                !dependency.policy().required || !dependency.is_missing(&dependency.snapshot())
            })
    }

    /// What the service needs, required or not.
    #[must_use]
    pub fn dependencies(&self) -> Arc<Vec<Arc<CheckState>>> {
        self.dependencies.load_full()
    }

    /// From now on it needs these.
    pub fn depend_on(&self, dependencies: Vec<Arc<CheckState>>) {
        self.dependencies.store(Arc::new(dependencies));
    }

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

/// The body of both probes. What is not there is left out.
#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<String>,
    /// Those that are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Brief<'a>>,
    /// All of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<Full<'a>>>,
}

/// A dependency that is not there. Not why: that is in the log, and may say too much.
#[derive(Serialize)]
struct Brief<'a> {
    name: &'a str,
    since: String,
}

/// A dependency.
#[derive(Serialize)]
struct Full<'a> {
    name: &'a str,
    status: &'static str,
    required: bool,
    since: String,
    /// Since the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<String>,
}

impl<'a> Full<'a> {
    fn new(dependency: &'a CheckState, snapshot: &Snapshot) -> Self {
        Self {
            name: &dependency.policy().name,
            status: snapshot.status.name(),
            required: dependency.policy().required,
            since: since(snapshot),
            age: snapshot.last.map(|(age, _)| compact(whole_millis(age))),
        }
    }
}

fn since(snapshot: &Snapshot) -> String {
    humantime::format_rfc3339_millis(snapshot.since).to_string()
}

fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

async fn liveness(health: web::Data<Health>) -> impl Responder {
    respond(
        StatusCode::OK,
        &Report {
            status: "healthy",
            reason: None,
            uptime: Some(uptime(&health)),
            failed: Vec::new(),
            checks: None,
        },
    )
}

async fn readiness(req: HttpRequest, health: web::Data<Health>) -> Result<impl Responder, Problem> {
    // A probe's query is its own business; of ours there is one word.
    let verbose = Query::parse(req.query_string()).is_ok_and(|query| query.has("verbose"));
    let phase = health.phase();
    let dependencies = health.dependencies();
    let snapshots: Vec<_> = dependencies
        .iter()
        .map(|dependency| (&**dependency, dependency.snapshot()))
        .collect();
    let missing = || {
        snapshots
            .iter()
            .filter(|(dependency, snapshot)| dependency.is_missing(snapshot))
    };
    let required = missing().any(|(dependency, _)| dependency.policy().required);
    let (status, reason) = match phase {
        Phase::StartingUp => ("not ready", Some("starting up")),
        Phase::ShuttingDown => ("not ready", Some("shutting down")),
        Phase::Ready if required => ("not ready", Some("checks failed")),
        Phase::Ready if missing().next().is_some() => ("degraded", None),
        Phase::Ready => ("ready", None),
    };
    let code = if reason.is_some() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    Ok(respond(
        code,
        &Report {
            status,
            reason,
            uptime: reason.is_none().then(|| uptime(&health)),
            failed: missing()
                .filter(|_| phase == Phase::Ready)
                .map(|(dependency, snapshot)| Brief {
                    name: &dependency.policy().name,
                    since: since(snapshot),
                })
                .collect(),
            checks: verbose.then(|| {
                snapshots
                    .iter()
                    .map(|(dependency, snapshot)| Full::new(dependency, snapshot))
                    .collect()
            }),
        },
    ))
}

async fn dependency(
    name: web::Path<String>,
    health: web::Data<Health>,
) -> Result<impl Responder, Problem> {
    let dependencies = health.dependencies();
    let dependency = dependencies
        .iter()
        .find(|dependency| dependency.policy().name == *name)
        .ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such check; /ready?verbose lists all of them",
            )
        })?;
    let snapshot = dependency.snapshot();
    let code = if snapshot.status == Status::Ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(respond(code, &Full::new(dependency, &snapshot)))
}

fn uptime(health: &Health) -> String {
    compact(Duration::from_secs(health.uptime().as_secs()))
}

fn respond(code: StatusCode, body: &impl Serialize) -> HttpResponse {
    HttpResponse::build(code).insert_header(NO_STORE).json(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_never_goes_back() {
        let health = Health::new(Vec::new());
        assert_eq!(health.phase(), Phase::StartingUp);
        health.started();
        assert_eq!(health.phase(), Phase::Ready);
        health.shutting_down();
        health.started();
        assert_eq!(health.phase(), Phase::ShuttingDown);
    }
}
