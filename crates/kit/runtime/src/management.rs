//! The management port: metrics, probes, and what an operator may look at and change. It has a worker of
//! its own, so it answers while every public worker is busy, and it ends last, so a scrape can see
//! the drain.

use std::{
    io,
    mem::ManuallyDrop,
    sync::{
        Arc,
        mpsc::{self, RecvError},
    },
    thread,
    time::Duration,
};

use actix_rt::{System, time};
use actix_web::{HttpResponse, delete, dev::ServerHandle, get, put, web};
use berth_kit_health::health;
use berth_kit_http::{
    NO_STORE, Problem, Routes, ServiceConfig,
    duration::{Text, compact, lasting},
    openapi,
};
use berth_kit_settings::{Entry, Settings};
use berth_kit_telemetry::log::Logging;
use berth_kit_transport::{Serving, Stop};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::{AppState, MountError, PortApp},
    devtools::faults,
    reload::InForce,
};

/// How long a filter lasts when nobody says.
const USUAL: Duration = Duration::from_mins(10);

/// How long it may last.
const LONGEST: Duration = Duration::from_hours(24);

/// How long the last scrape may take at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why the management port does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagementError {
    /// Its routes do not go together.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The system grants no thread, or no more than the listener.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its thread has ended before it served.
    #[error("the management port did not start")]
    NotStarted(#[from] RecvError),
}

/// What only the management port has.
fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.configure(health::routes)
        .service(show_settings)
        .service(log_filter)
        .service(set_log_filter)
        .service(revert_log_filter)
        .configure(openapi::routes);
}

/// All that these settings turn on there, but for the scrape and what the handlers share.
pub(crate) fn shown(settings: &Settings) -> Routes {
    let shown = Routes::new(routes);
    if settings.debug.routes {
        shown.configure(faults::routes)
    } else {
        shown
    }
}

/// What the management port shows.
pub(crate) async fn app(
    state: &AppState,
    settings: &Settings,
    in_force: InForce,
    logging: Logging,
) -> Result<PortApp, MountError> {
    let mut shown = shown(settings).data(in_force).data(logging);
    if let Some(faults) = state.faults.clone().map(web::Data::from) {
        shown = shown.configure(move |cfg| {
            cfg.app_data(faults.clone());
        });
    }
    state.private(settings, shown).await
}

/// The running management port.
pub(crate) struct Management {
    handle: ServerHandle,
    stop: Arc<Stop>,
}

impl Management {
    /// Starts what `serve` makes, on a thread of its own: it answers whatever the main one does.
    pub(crate) fn start(
        serve: impl FnOnce() -> io::Result<Serving> + Send + 'static,
    ) -> Result<Self, ManagementError> {
        let (up, is_up) = mpsc::channel();
        thread::Builder::new()
            .name("management".to_owned())
            .spawn(move || {
                // As the main one, never dropped: the process is about to end.
                let system = ManuallyDrop::new(System::new());
                system.block_on(async move {
                    match serve() {
                        Err(error) => drop(up.send(Err(error))),
                        Ok(Serving { server, stop }) => {
                            let _ = up.send(Ok((server.handle(), stop)));
                            if let Err(error) = server.await {
                                log::error!("the management port failed: {error}");
                            }
                        }
                    }
                });
                loop {
                    thread::park();
                }
            })?;
        let (handle, stop) = is_up.recv()??;
        Ok(Self { handle, stop })
    }

    /// Ends it, once the requests on it are answered.
    pub(crate) async fn stop(self) {
        let _ = time::timeout(LAST_ANSWERS, async {
            self.stop.drain();
            self.stop.close(LAST_ANSWERS).await;
            self.handle.stop(true).await;
        })
        .await;
    }
}

/// The settings in force.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Settings)]
struct Shown {
    settings: Vec<Row>,
    /// What has been changed and holds from the next start on
    needs_restart: Vec<Row>,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Setting)]
struct Row {
    #[schema(examples("server.port"))]
    key: String,
    /// As the settings file has it, as JSON: a duration is text, `null` is unset; secrets masked
    value: Value,
    /// Where it comes from
    #[schema(examples("default", "config.toml"))]
    origin: String,
}

impl From<&Entry> for Row {
    fn from(entry: &Entry) -> Self {
        Self {
            key: entry.key.clone().into_owned(),
            value: entry.json.clone(),
            origin: entry.origin.to_string(),
        }
    }
}

/// The settings in force
#[utoipa::path(
    operation_id = "settings",
    responses((status = 200, description = "All of them, by key", body = Shown))
)]
#[get("/settings")]
async fn show_settings(in_force: web::Data<InForce>) -> HttpResponse {
    let in_force = in_force.load();
    HttpResponse::Ok().insert_header(NO_STORE).json(Shown {
        settings: in_force.loaded.entries.iter().map(Row::from).collect(),
        needs_restart: in_force.pending.iter().map(Row::from).collect(),
    })
}

/// Another log filter, for a while.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogFilterWanted)]
struct Wanted {
    #[schema(examples("info,berth_kit=debug"))]
    filter: String,
    /// At most 1d; 10m where it is left out
    r#for: Option<Text>,
}

/// The log filter.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogFilter)]
struct Current {
    /// In force
    #[schema(examples("info,berth_kit=debug"))]
    filter: String,
    /// Of the settings
    #[schema(examples("info"))]
    settings: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("9m59s"))]
    reverts_in: Option<String>,
}

/// Which records are written
#[utoipa::path(
    operation_id = "logFilter",
    responses((status = 200, description = "The filter now", body = Current))
)]
#[get("/log-filter")]
async fn log_filter(logging: web::Data<Logging>) -> HttpResponse {
    filter_shown(&logging)
}

/// Another log filter, for a while
#[utoipa::path(
    operation_id = "setLogFilter",
    request_body = Wanted,
    responses(
        (status = 200, description = "The filter now", body = Current),
        (status = 400, response = Problem),
        (status = 408, response = Problem),
        (status = 413, response = Problem),
    )
)]
#[put("/log-filter")]
async fn set_log_filter(
    body: web::Bytes,
    logging: web::Data<Logging>,
) -> Result<HttpResponse, Problem> {
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
    berth_kit_settings::check_log_filter(&wanted.filter)
        .map_err(|fault| Problem::bad_request(format!("filter: {fault}")))?;
    let lasts = lasting(wanted.r#for.as_ref(), USUAL, LONGEST)?;
    log::warn!(
        "log filter for {}: {}",
        compact(lasts),
        wanted.filter.as_str()
    );
    logging.filter_for(wanted.filter, lasts);
    Ok(filter_shown(&logging))
}

/// Back to the log filter of the settings
#[utoipa::path(
    operation_id = "revertLogFilter",
    responses((status = 200, description = "The filter now", body = Current))
)]
#[delete("/log-filter")]
async fn revert_log_filter(logging: web::Data<Logging>) -> HttpResponse {
    logging.revert();
    filter_shown(&logging)
}

fn filter_shown(logging: &Logging) -> HttpResponse {
    let filter = logging.filter();
    let left = filter.left.map(|left| Duration::from_secs(left.as_secs()));
    HttpResponse::Ok().insert_header(NO_STORE).json(Current {
        filter: filter.current,
        settings: filter.settings,
        reverts_in: left.map(compact),
    })
}
