//! The whole request path.

use std::{rc::Rc, sync::Arc};

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse},
    web,
};
use berth_kit_devtools::{debug, faults::Faults};
use berth_kit_health::{CheckMetrics, Health, health};
use berth_kit_http::{
    BuildInfo, Endpoint, Limits, Methods, Observed, Route, Routes, Timeout, configure, openapi,
};
use berth_kit_settings::Settings;
use berth_kit_telemetry::{
    log::{AccessLines, AccessLog, Logging},
    metrics::{self, Metrics},
};
use futures_util::future::Either;
use tokio::sync::Notify;

use crate::{
    management::Private,
    refusals::Refusals,
    service::{Build, Configure, Service},
};

/// The largest body that the management port takes, in bytes.
const MAX_PRIVATE_BODY: usize = 64 * 1024;

/// What both ports share.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: web::Data<Metrics>,
    info: web::Data<BuildInfo>,
    /// Of the service's own.
    service_data: Arc<[Configure]>,
    pub(crate) faults: Option<Arc<Faults>>,
    pub(crate) limits: Limits,
    access_lines: Arc<AccessLines>,
    endpoints: Arc<[Endpoint]>,
    routes: Arc<Routes>,
}

/// What one port shows: what its workers' [`App`] is composed of. Both ports have one type of app,
/// because each type brings the whole HTTP machinery into the binary once more.
#[derive(Clone)]
pub(crate) struct PortApp {
    state: AppState,
    endpoints: Arc<[Endpoint]>,
    routes: Arc<Routes>,
    /// What only the management port has.
    private: Option<Private>,
}

impl AppState {
    pub(crate) fn new(
        build: Build,
        settings: &Settings,
        service: Service,
        health: Arc<Health>,
        logging: &Logging,
    ) -> anyhow::Result<Self> {
        let endpoints = endpoints(settings, service.endpoints);
        let routes = Arc::new(Routes::new(endpoints.iter().map(|endpoint| Route {
            pattern: &endpoint.path,
            methods: endpoint.methods.names(),
            // A scrape is no use of the service.
            counted: endpoint.path != settings.metrics.path,
        })));
        let info = info(build, settings);
        let metrics = Metrics::new(
            metrics::Build {
                version: &info.version,
                revision: &info.revision,
                rustc: &info.rustc,
            },
            Arc::clone(&routes),
            settings.shutdown.timeout,
        )?;
        for metric in service.metrics {
            metrics.register_boxed(metric)?;
        }
        let probed = Arc::clone(&health);
        metrics.register_ready(move || probed.is_ready())?;
        metrics.register(CheckMetrics::new(Arc::clone(&health))?)?;
        let faults = if settings.debug.routes && settings.management.port.is_some() {
            let endpoints = can_fail(&endpoints);
            Some(Faults::new(endpoints, Arc::clone(&routes), &metrics)?)
        } else {
            None
        };
        let request_timeout = Timeout::new(settings.server.request_timeout);
        Ok(Self {
            info: web::Data::new(info),
            service_data: service.data.into(),
            health,
            metrics: web::Data::new(metrics),
            faults: faults.map(Arc::new),
            endpoints: endpoints.into(),
            routes,
            limits: Limits {
                max_body_bytes: settings.server.max_body_bytes,
                body_timeout: request_timeout,
            },
            access_lines: logging.access_lines(),
        })
    }

    /// The public port.
    pub(crate) fn public(&self) -> PortApp {
        PortApp {
            state: self.clone(),
            endpoints: Arc::clone(&self.endpoints),
            routes: Arc::clone(&self.routes),
            private: None,
        }
    }

    /// The management port, with these endpoints.
    pub(crate) fn private(&self, endpoints: Vec<Endpoint>, private: Private) -> PortApp {
        // However little the public one takes, an operator must be able to say what he wants.
        let limits = Limits {
            max_body_bytes: MAX_PRIVATE_BODY,
            ..self.limits.clone()
        };
        PortApp {
            state: Self {
                limits,
                ..self.clone()
            },
            routes: Arc::new(Routes::new(endpoints.iter().map(|endpoint| Route {
                pattern: &endpoint.path,
                methods: endpoint.methods.names(),
                counted: false,
            }))),
            endpoints: endpoints.into(),
            private: Some(private),
        }
    }
}

impl PortApp {
    /// What becomes of what is no request.
    pub(crate) fn refusals(&self, freed: Rc<Notify>) -> Refusals {
        Refusals {
            metrics: self.private.is_none().then(|| self.state.metrics.clone()),
            access_lines: Arc::clone(&self.state.access_lines),
            freed,
        }
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
        let state = &self.state;
        let public = self.private.is_none();
        // What machines and operators ask is no use of the service: logged, but not counted.
        let metrics = public.then(|| state.metrics.http_observer());
        let faults = state.faults.clone().filter(|_| public);
        let access_log = AccessLog::new(Arc::clone(&state.access_lines), Arc::clone(&self.routes));
        App::new()
            .app_data(state.metrics.clone())
            .app_data(web::Data::from(Arc::clone(&state.health)))
            // The endpoint, behind a time limit and a net for panics.
            .configure(|cfg| {
                configure(cfg, &self.endpoints, &state.info, &state.limits);
                for hand_over in &*state.service_data {
                    hand_over(cfg);
                }
                if let Some(private) = &self.private {
                    private.configure(cfg);
                }
            })
            // Too long a target, too large or too slow a body.
            .wrap(state.limits.clone())
            // A injected fault, where somebody asked for it.
            .wrap_fn(move |req, next| {
                let fault = faults.as_ref().and_then(|faults| faults.draw(&req));
                match fault {
                    None => Either::Left(next.call(req)),
                    // In a box, since it is rare: what is not there need not be moved around.
                    Some(fault) => Either::Right(Box::pin(fault.inject(req, next))),
                }
            })
            // Outermost, so that nothing is answered unseen.
            .wrap(Observed::new(
                (metrics, access_log),
                Arc::clone(&self.routes),
            ))
    }
}

/// Every endpoint that these settings turn on. Metrics are on the management port, where there is one.
fn endpoints(settings: &Settings, own: Vec<Endpoint>) -> Vec<Endpoint> {
    // The router tries them in this order: first what users ask for, last what costs it more than a plain
    // path.
    let mut endpoints = own;
    endpoints.extend([
        health::LIVENESS,
        health::READINESS,
        openapi::ENDPOINT,
        health::DEPENDENCY,
    ]);
    if settings.debug.routes {
        endpoints.extend(debug::ENDPOINTS);
    }
    if settings.management.port.is_none() {
        endpoints.extend(exposition(settings));
    }
    endpoints
}

/// The endpoint of the scrape.
pub(crate) fn exposition(settings: &Settings) -> Option<Endpoint> {
    let route = || web::to(metrics::exposition);
    let endpoint = Endpoint::new(
        "/metrics",
        Methods::GET,
        route,
        include_str!("../openapi/metrics.json"),
    );
    settings
        .metrics
        .enabled
        .then(|| endpoint.at(&settings.metrics.path))
}

/// The endpoints whose requests may get a fault.
fn can_fail(endpoints: &[Endpoint]) -> Vec<String> {
    let probes = [
        health::LIVENESS.path,
        health::READINESS.path,
        health::DEPENDENCY.path,
    ];
    endpoints
        .iter()
        .filter(|endpoint| !probes.contains(&endpoint.path))
        .map(|endpoint| endpoint.path.to_string())
        .collect()
}

fn info(build: Build, settings: &Settings) -> BuildInfo {
    let app = &settings.app;
    BuildInfo {
        app: app.name.clone(),
        version: app.version.clone(),
        revision: build.revision.to_owned(),
        hostname: hostname(),
        env: app.environment.clone(),
        rustc: build.rustc.to_owned(),
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

#[cfg(test)]
mod tests {
    use berth_kit_http::{duration, openapi::Document};
    use serde_json::Value;

    use super::*;

    /// What the document says of a limit is what the code holds to.
    #[test]
    fn the_document_is_whole_and_true() {
        let mut settings = Settings::default();
        settings.debug.routes = true;
        settings.app.name = "a \"b\"".to_owned();
        let build = Build {
            version: "1",
            revision: "",
            rustc: "",
        };
        let endpoints = endpoints(&settings, Vec::new());
        let document = Document::new(&endpoints, &info(build, &settings));
        let document: Value = serde_json::from_slice(document.bytes()).unwrap();
        assert_eq!(document["info"]["title"], "a \"b\"");
        let bytes = &document["paths"]["/debug/bytes/{n}"]["get"]["parameters"][0]["schema"];
        assert_eq!(bytes["maximum"], debug::MAX_BYTES);
        let duration = &document["components"]["schemas"]["Duration"];
        assert_eq!(duration["maxLength"], duration::MAX_BYTES);
        for endpoint in endpoints {
            let item = document["paths"][&*endpoint.path].as_object().unwrap();
            let documented: Vec<_> = item.keys().map(|m| m.to_ascii_uppercase()).collect();
            for method in endpoint.methods.names() {
                let known = *method == "HEAD" || documented.iter().any(|m| m == method);
                assert!(known, "{} {method}", endpoint.path);
            }
        }
    }
}
