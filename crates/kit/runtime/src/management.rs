//! The management port: metrics, probes, and what an operator may look at and change. It has a worker of
//! its own, so it answers while every public worker is busy, and it ends last, so a scrape can see
//! the drain.

use std::{
    mem::ManuallyDrop,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix_rt::{System, time};
use actix_web::{HttpRequest, HttpResponse, dev::ServerHandle, http::Method, web};
use anyhow::Context as _;
use berth_kit_devtools::faults::{self, Faults, lasting};
use berth_kit_health::health;
use berth_kit_http::{Endpoint, Methods, NO_STORE, Problem, duration::compact, openapi};
use berth_kit_settings::Entry;
use berth_kit_telemetry::log::Logging;
use berth_kit_transport::{Serving, Stop};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::{AppState, PortApp},
    reload::InForce,
};

/// How long a filter lasts when nobody says.
const USUAL: Duration = Duration::from_mins(10);

/// How long it may last.
const LONGEST: Duration = Duration::from_hours(24);

/// How long the last scrape may take at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

const SETTINGS: Endpoint = Endpoint::new(
    "/settings",
    Methods::GET,
    || web::to(settings),
    include_str!("../openapi/settings.json"),
);

const LOG_FILTER: Endpoint = Endpoint::new(
    "/log-filter",
    Methods::Only(&["GET", "HEAD", "PUT", "DELETE"]),
    || web::to(log_filter),
    include_str!("../openapi/log-filter.json"),
);

/// What only the management port has.
#[derive(Clone)]
pub(crate) struct Private {
    faults: Option<web::Data<Faults>>,
    in_force: web::Data<InForce>,
    logging: web::Data<Logging>,
}

impl Private {
    /// Hands the endpoints what they show and change.
    pub(crate) fn configure(&self, cfg: &mut web::ServiceConfig) {
        cfg.app_data(self.in_force.clone())
            .app_data(self.logging.clone());
        if let Some(faults) = &self.faults {
            cfg.app_data(faults.clone());
        }
    }
}

/// What the management port shows.
pub(crate) fn app(
    state: &AppState,
    exposition: Option<Endpoint>,
    in_force: InForce,
    logging: Logging,
) -> anyhow::Result<PortApp> {
    let faults = state.faults.clone().map(web::Data::from);
    let endpoints = [
        health::LIVENESS,
        health::READINESS,
        health::DEPENDENCY,
        SETTINGS,
        LOG_FILTER,
        openapi::ENDPOINT,
    ]
    .into_iter()
    .chain(faults.is_some().then_some(faults::ENDPOINT))
    .chain(exposition)
    .collect();
    let private = Private {
        faults,
        in_force: web::Data::new(in_force),
        logging: web::Data::new(logging),
    };
    state.private(endpoints, private)
}

/// The running management port.
pub(crate) struct Management {
    handle: ServerHandle,
    stop: Arc<Stop>,
}

impl Management {
    /// Starts what `bind` makes, on a thread of its own: it answers whatever the main one does.
    pub(crate) fn start(
        bind: impl FnOnce() -> anyhow::Result<Serving> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (up, is_up) = mpsc::channel();
        thread::Builder::new()
            .name("management".to_owned())
            .spawn(move || {
                // As the main one, never dropped: the process is about to end.
                let system = ManuallyDrop::new(System::new());
                system.block_on(async move {
                    match bind() {
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
        let (handle, stop) = is_up
            .recv()
            .context("the management port did not start")??;
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

async fn settings(in_force: web::Data<InForce>) -> HttpResponse {
    let in_force = in_force.load();
    let rows = |entries: &[Entry]| -> Vec<Value> {
        entries
            .iter()
            .map(|entry| {
                json!({
                    "key": entry.key,
                    "value": entry.value,
                    "origin": entry.origin.to_string(),
                })
            })
            .collect()
    };
    HttpResponse::Ok().insert_header(NO_STORE).json(json!({
        "settings": rows(&in_force.loaded.entries),
        "needs_restart": rows(&in_force.pending),
    }))
}

/// The body of a PUT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    filter: String,
    r#for: Option<String>,
}

async fn log_filter(
    req: HttpRequest,
    body: web::Bytes,
    logging: web::Data<Logging>,
) -> Result<HttpResponse, Problem> {
    match *req.method() {
        Method::PUT => {
            let wanted: Wanted = serde_json::from_slice(&body)
                .map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
            if !berth_kit_settings::is_log_filter(&wanted.filter) {
                return Err(Problem::bad_request(
                    "filter is a log filter such as \"debug\" or \"info,berth=debug\"",
                ));
            }
            let lasts = lasting(wanted.r#for.as_deref(), USUAL, LONGEST)?;
            log::warn!(
                "log filter for {}: {}",
                compact(lasts),
                wanted.filter.as_str()
            );
            let number = logging.filter_for(wanted.filter, lasts);
            let theirs = logging.clone();
            actix_rt::spawn(async move {
                time::sleep(lasts).await;
                reverted(theirs.revert(Some(number)), &theirs);
            });
        }
        Method::DELETE => reverted(logging.revert(None), &logging),
        _ => {}
    }
    let filter = logging.filter();
    let mut shown = json!({ "filter": filter.current, "settings": filter.settings });
    if let Some(left) = filter.left {
        shown["reverts_in"] = compact(Duration::from_secs(left.as_secs())).into();
    }
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(shown))
}

fn reverted(it_was: bool, logging: &Logging) {
    if it_was {
        log::warn!(
            "log filter of the settings again: {}",
            logging.filter().settings
        );
    }
}
