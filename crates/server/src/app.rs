//! The whole request path.

use std::sync::Arc;

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse},
    http::ConnectionType,
    web,
};
use berth_config::Settings;
use berth_handlers::{Context, Endpoint, Health, Info, Limits, Methods, health::Phase};
use berth_metrics::{Build, Metrics, Observed, Route, Routes};
use serde_json::{Value, json};

use crate::{access_log::AccessLog, readiness::CheckMetrics};

/// What every worker's [`App`] is composed of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: web::Data<Metrics>,
    context: web::Data<Context>,
    endpoints: Arc<[Endpoint]>,
    routes: Arc<Routes>,
    limits: Limits,
    log_access: bool,
}

impl Parts {
    pub(crate) fn new(settings: &Settings, health: Arc<Health>) -> anyhow::Result<Self> {
        let endpoints = endpoints(settings);
        let routes = Arc::new(Routes::new(endpoints.iter().map(|endpoint| Route {
            pattern: &endpoint.path,
            methods: endpoint.methods.names(),
            // A scrape is no use of the service.
            counted: endpoint.path != settings.metrics.path,
        })));
        let info = info(settings);
        let metrics = Metrics::new(
            Build {
                version: &info.version,
                revision: &info.revision,
                rustc: &info.rustc,
            },
            Arc::clone(&routes),
            settings.shutdown.timeout,
        )?;
        let probed = Arc::clone(&health);
        metrics.register_ready(move || probed.is_ready())?;
        if !health.dependencies().is_empty() {
            metrics.register(CheckMetrics::new(Arc::clone(&health))?)?;
        }
        Ok(Self {
            context: web::Data::new(Context {
                health: Arc::clone(&health),
                info,
                request_timeout: settings.server.request_timeout,
                max_body_bytes: settings.server.max_body_bytes,
            }),
            health,
            metrics: web::Data::new(metrics),
            endpoints: endpoints.into(),
            routes,
            limits: Limits {
                max_body_bytes: settings.server.max_body_bytes,
                body_timeout: settings.server.request_timeout,
            },
            log_access: settings.log.access,
        })
    }

    /// The app of one worker. In actix the last `wrap` is the first to see a request, so the path
    /// of a request reads from the bottom to the top, and that of its answer from the top down.
    pub(crate) fn app(
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
        let health = Arc::clone(&self.health);
        let metrics = self.metrics.http_observer();
        let access_log = AccessLog::new(self.log_access, Arc::clone(&self.routes));
        App::new()
            .app_data(self.metrics.clone())
            // The endpoint, behind a time limit and a net for panics.
            .configure(|cfg| berth_handlers::configure(cfg, &self.endpoints, &self.context))
            // Too long a target, too large or too slow a body.
            .wrap(self.limits)
            // While draining, a client must not send its next request on this connection.
            .wrap_fn(move |req, next| {
                let health = Arc::clone(&health);
                let call = next.call(req);
                async move {
                    let mut response = call.await?;
                    if health.phase() == Phase::ShuttingDown {
                        let head = response.response_mut().head_mut();
                        head.set_connection_type(ConnectionType::Close);
                    }
                    Ok(response)
                }
            })
            // Outermost, so that nothing is answered unseen.
            .wrap(Observed::new(
                (metrics, access_log),
                Arc::clone(&self.routes),
            ))
    }
}

/// Every endpoint that these settings turn on.
fn endpoints(settings: &Settings) -> Vec<Endpoint> {
    let mut endpoints = berth_handlers::endpoints(settings.debug.routes);
    if settings.metrics.enabled {
        let exposition = || web::to(berth_metrics::exposition);
        let endpoint = Endpoint::new("/metrics", Methods::GET, exposition, exposition_docs);
        endpoints.push(endpoint.at(&settings.metrics.path));
    }
    endpoints
}

fn exposition_docs() -> Value {
    json!({ "get": {
        "operationId": "metrics",
        "summary": "Metrics in the Prometheus text format",
        "responses": {
            "200": {
                "description": "Text format 0.0.4",
                "content": { "text/plain": { "schema": { "type": "string" } } }
            },
            "default": { "$ref": "#/components/responses/Problem" }
        }
    } })
}

fn info(settings: &Settings) -> Info {
    let app = &settings.app;
    Info {
        app: app.name.clone(),
        version: app.version.clone(),
        revision: env!("BERTH_REVISION").to_owned(),
        hostname: hostname(),
        env: app.environment.clone(),
        rustc: env!("BERTH_RUSTC").to_owned(),
        message: format!("{} {} in {}", app.name, app.version, app.environment),
    }
}

/// `HOSTNAME`, which Kubernetes and Docker set, else the system's name.
fn hostname() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| Some(hostname::get().ok()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unknown".to_owned())
}
