//! The private port: metrics, probes, and what an operator may look at and change. It has a worker of
//! its own, so it answers while every public worker is busy, and it ends last, so a scrape can see
//! the drain.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use actix_rt::{System, time};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse},
    http::Method,
    web,
};
use anyhow::Context as _;
use berth_config::Entry;
use berth_handlers::{
    Context, Endpoint, Limits, Methods, NO_STORE, Problem, duration::compact, health, openapi,
};
use berth_metrics::{Metrics, Observed, Route, Routes};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    access_log::AccessLog,
    app::Parts,
    faults::{self, Faults, lasting},
    logging::Logging,
    reload::InForce,
};

/// How long a filter lasts when nobody says.
const USUAL: Duration = Duration::from_mins(10);

/// How long it may last.
const LONGEST: Duration = Duration::from_hours(24);

/// How long the last scrape may take at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Enough for every machine and operator there is, and far below what would cost memory.
const MAX_CONNECTIONS: usize = 256;

const SETTINGS: Endpoint = Endpoint::new(
    "/settings",
    Methods::GET,
    || web::to(settings),
    settings_docs,
);

const LOG_FILTER: Endpoint = Endpoint::new(
    "/log-filter",
    Methods::Only(&["GET", "HEAD", "PUT", "DELETE"]),
    || web::to(log_filter),
    log_filter_docs,
);

/// What the private port's [`App`] is composed of.
#[derive(Clone)]
pub(crate) struct Private {
    context: web::Data<Context>,
    metrics: web::Data<Metrics>,
    faults: Option<web::Data<Faults>>,
    in_force: web::Data<InForce>,
    logging: web::Data<Logging>,
    endpoints: Arc<[Endpoint]>,
    routes: Arc<Routes>,
    limits: Limits,
    log_access: Arc<AtomicBool>,
}

impl Private {
    pub(crate) fn new(
        parts: &Parts,
        exposition: Option<Endpoint>,
        in_force: InForce,
        logging: Logging,
    ) -> Self {
        let faults = parts.faults.clone().map(web::Data::from);
        let endpoints: Vec<_> = [
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
        Self {
            routes: Arc::new(Routes::new(endpoints.iter().map(|endpoint| Route {
                pattern: &endpoint.path,
                methods: endpoint.methods.names(),
                counted: false,
            }))),
            context: parts.context.clone(),
            metrics: parts.metrics.clone(),
            faults,
            in_force: web::Data::new(in_force),
            logging: web::Data::new(logging),
            endpoints: endpoints.into(),
            limits: parts.limits.clone(),
            log_access: Arc::clone(&parts.log_access),
        }
    }

    fn app(
        &self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody + use<>>,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        let access_log = AccessLog::new(Arc::clone(&self.log_access), Arc::clone(&self.routes));
        let mut app = App::new()
            .app_data(self.metrics.clone())
            .app_data(self.in_force.clone())
            .app_data(self.logging.clone());
        if let Some(faults) = &self.faults {
            app = app.app_data(faults.clone());
        }
        // Logged, but not counted: what machines and operators ask is no use of the service.
        app.configure(|cfg| berth_handlers::configure(cfg, &self.endpoints, &self.context))
            .wrap(self.limits.clone())
            .wrap(Observed::new(access_log, Arc::clone(&self.routes)))
    }
}

/// The running private port.
pub(crate) struct Management {
    handle: ServerHandle,
}

impl Management {
    /// Serves on `listeners`. In a system of its own: actix stops all of a system's workers when a
    /// signal has stopped one server in it.
    pub(crate) fn start(private: Private, listeners: Vec<TcpListener>) -> anyhow::Result<Self> {
        let (up, is_up) = mpsc::channel();
        thread::Builder::new()
            .name("management".to_owned())
            .spawn(move || {
                System::new().block_on(async move {
                    let mut server = HttpServer::new(move || private.app())
                        .workers(1)
                        .max_connections(MAX_CONNECTIONS)
                        .disable_signals();
                    for listener in listeners {
                        match server.listen(listener) {
                            Ok(next) => server = next,
                            Err(error) => {
                                let _ = up.send(Err(error));
                                return;
                            }
                        }
                    }
                    let server = server.run();
                    let _ = up.send(Ok(server.handle()));
                    if let Err(error) = server.await {
                        log::error!("the management port failed: {error}");
                    }
                });
            })?;
        let handle = is_up
            .recv()
            .context("the management port did not start")?
            .context("cannot listen on the management port")?;
        Ok(Self { handle })
    }

    /// Ends it, once the requests on it are answered.
    pub(crate) async fn stop(self) {
        // actix looks for connections that are left only once a second; idle ones are not worth it.
        let _ = time::timeout(LAST_ANSWERS, self.handle.stop(true)).await;
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
            if !berth_config::is_log_filter(&wanted.filter) {
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

fn settings_docs() -> Value {
    let rows = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["key", "value", "origin"],
            "additionalProperties": false,
            "properties": {
                "key": { "type": "string", "examples": ["server.keep_alive"] },
                "value": {
                    "type": "string",
                    "description": "As TOML has it, secrets masked",
                    "examples": ["\"1m 15s\""]
                },
                "origin": { "type": "string", "examples": ["file /etc/berth/settings.toml"] }
            }
        }
    });
    let schema = json!({
        "type": "object",
        "required": ["settings", "needs_restart"],
        "additionalProperties": false,
        "properties": { "settings": rows, "needs_restart": rows }
    });
    json!({ "get": {
        "operationId": "settings",
        "summary": "The settings in force, and those that wait for a restart",
        "responses": {
            "200": openapi::json_response("Every key", &schema),
            "default": openapi::problem()
        }
    } })
}

fn log_filter_docs() -> Value {
    let filter = json!({ "type": "string", "examples": ["info,berth=debug"] });
    let shown = openapi::json_response(
        "The filter now",
        &json!({
            "type": "object",
            "required": ["filter", "settings"],
            "additionalProperties": false,
            "properties": {
                "filter": filter,
                "settings": filter,
                "reverts_in": { "type": "string", "examples": ["9m59s"] }
            }
        }),
    );
    let wanted = json!({
        "type": "object",
        "required": ["filter"],
        "additionalProperties": false,
        "properties": {
            "filter": filter,
            "for": { "type": "string", "examples": ["10m"] }
        }
    });
    let responses = json!({ "200": shown, "default": openapi::problem() });
    json!({
        "get": {
            "operationId": "logFilter",
            "summary": "Which records are written",
            "responses": responses
        },
        "put": {
            "operationId": "setLogFilter",
            "summary": "Another log filter, for a while",
            "requestBody": { "required": true, "content": { "application/json": { "schema": wanted } } },
            "responses": responses
        },
        "delete": {
            "operationId": "revertLogFilter",
            "summary": "Back to the log filter of the settings",
            "responses": responses
        }
    })
}
