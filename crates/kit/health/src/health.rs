//! Liveness and readiness.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, Responder, get, http::StatusCode, web};
use arc_swap::ArcSwap;
use berth_kit_http::{NO_STORE, Problem, ServiceConfig, duration::compact, scope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    heartbeat::Heartbeat,
    readiness::{CheckState, Snapshot, Status},
};

/// The path of liveness.
pub const LIVENESS: &str = "/health";

/// The path of readiness.
pub const READINESS: &str = "/ready";

/// The path of one dependency.
pub const DEPENDENCY: &str = "/ready/{check}";

/// Mounts `/health`, `/ready` and `/ready/{check}`.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    // In a scope, since the router compares that faster than the parameter.
    let ready = scope(READINESS).service(readiness).service(one_check);
    cfg.service(liveness).service(ready);
}

/// Mounts `/health` and `/ready`.
pub fn probes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(liveness)
        .service(scope(READINESS).service(readiness));
}

/// Where the process is in its lifecycle. It only ever moves forward.
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
    pub(crate) heartbeat: Heartbeat,
}

impl Health {
    /// A process that starts up now, and is ready only while what it requires is there.
    #[must_use]
    pub fn new(dependencies: Vec<Arc<CheckState>>) -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(Phase::StartingUp as u8),
            dependencies: ArcSwap::from_pointee(dependencies),
            heartbeat: Heartbeat::default(),
        }
    }

    /// Whether `/ready` answers 200.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
            && self.stuck().is_none()
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

/// Liveness.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Liveness)]
struct Alive {
    #[schema(pattern = "^healthy$")]
    status: &'static str,
    /// Time since the start
    #[schema(examples("1m30s"))]
    uptime: String,
}

/// Readiness. What is not there is left out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Readiness)]
struct Report<'a> {
    status: State,
    /// Why not
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
    /// Time since the start
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("1m30s"))]
    uptime: Option<String>,
    /// Those that are not there
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    failed: Vec<Brief<'a>>,
    /// All of them
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checks: Option<Vec<Full<'a>>>,
}

/// Whether to send traffic here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReadinessStatus)]
enum State {
    Ready,
    /// Something is missing that is not required
    Degraded,
    #[serde(rename = "not ready")]
    NotReady,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ReadinessReason)]
enum Reason {
    #[serde(rename = "starting up")]
    StartingUp,
    #[serde(rename = "shutting down")]
    ShuttingDown,
    #[serde(rename = "checks failed")]
    ChecksFailed,
    #[serde(rename = "worker stuck")]
    WorkerStuck,
}

/// A check that has failed. Not why: that is in the log, and may say too much.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FailedCheck)]
struct Brief<'a> {
    name: &'a str,
    #[schema(format = "date-time")]
    since: String,
}

/// A check.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Check)]
struct Full<'a> {
    name: &'a str,
    status: Status,
    required: bool,
    #[schema(format = "date-time")]
    since: String,
    /// Time since the last attempt
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("1s500ms"))]
    age: Option<String>,
}

impl<'a> Full<'a> {
    fn new(dependency: &'a CheckState, snapshot: &Snapshot) -> Self {
        Self {
            name: &dependency.policy().name,
            status: snapshot.status,
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

/// Liveness: the process can answer
///
/// It never looks at a dependency, and stays 200 while draining, so that a restart is never the answer to someone
/// else's outage. 503 where one of the workers has not run for 30 s, which only a restart helps.
#[utoipa::path(
    responses(
        (status = 200, description = "It is alive", body = Alive),
        (status = 503, response = Problem),
    )
)]
#[get("/health")]
async fn liveness(health: web::Data<Health>) -> Result<impl Responder, Problem> {
    if let Some(stuck) = health.stuck() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            stuck.to_string(),
        ));
    }
    Ok(respond(
        StatusCode::OK,
        &Alive {
            status: "healthy",
            uptime: uptime(&health),
        },
    ))
}

/// Readiness: send traffic here
///
/// A 503 keeps traffic away without a restart.
#[utoipa::path(
    params(("verbose" = Option<String>, Query, description = "List every check", allow_reserved = false)),
    responses(
        (status = 200, description = "Ready, or degraded: something is missing that is not required", body = Report),
        (status = 503, description = "Not ready, and why", body = Report),
    )
)]
#[get("")]
async fn readiness(req: HttpRequest, health: web::Data<Health>) -> impl Responder {
    // A probe's query is its own business; of ours there is one word.
    let mut query = req.query_string().split('&');
    let verbose = query.any(|pair| pair.split('=').next() == Some("verbose"));
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
        Phase::StartingUp => (State::NotReady, Some(Reason::StartingUp)),
        Phase::ShuttingDown => (State::NotReady, Some(Reason::ShuttingDown)),
        // Clients of it would hang. It is replaced, and they had better be elsewhere by then.
        Phase::Ready if health.stuck().is_some() => (State::NotReady, Some(Reason::WorkerStuck)),
        Phase::Ready if required => (State::NotReady, Some(Reason::ChecksFailed)),
        Phase::Ready if missing().next().is_some() => (State::Degraded, None),
        Phase::Ready => (State::Ready, None),
    };
    let code = if reason.is_some() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    respond(
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
    )
}

/// What is known of one check
#[utoipa::path(
    operation_id = "dependency",
    params(("check" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "It has succeeded", body = Full),
        (status = 404, response = Problem),
        (status = 503, description = "It has failed, or has not been made yet", body = Full),
    )
)]
#[get("/{check}")]
async fn one_check(
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
