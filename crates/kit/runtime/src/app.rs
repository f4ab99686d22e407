//! The whole request path.

use std::sync::Arc;

use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use berth_kit_devtools::{debug, faults::Faults};
use berth_kit_health::{CheckMetrics, Health, health};
use berth_kit_http::{
    BuildInfo, Endpoint, Limits, Methods, Observed, Problem, Resource, Route, Routes, Timeout,
    configure,
    openapi::{self, Document},
};
use berth_kit_settings::Settings;
use berth_kit_telemetry::{
    log::{AccessLines, AccessLog, Logging},
    metrics::{self, Metrics},
};
use futures_util::future::Either;

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
    resources: Arc<[Resource]>,
    document: web::Data<Document>,
    routes: Arc<Routes>,
}

/// What one port shows: what its workers' [`App`] is composed of. Both ports have one type of app,
/// because each type brings the whole HTTP machinery into the binary once more.
#[derive(Clone)]
pub(crate) struct PortApp {
    state: AppState,
    /// What only the management port has.
    private: Option<Private>,
    /// The service is being built.
    is_starting: bool,
}

impl AppState {
    pub(crate) fn new(
        build: Build,
        settings: &Settings,
        service: Service,
        health: Arc<Health>,
        logging: &Logging,
    ) -> anyhow::Result<Self> {
        let resources = Resource::group(endpoints(settings, service.endpoints))?;
        // A scrape is no use of the service.
        let routes = routes(&resources, |path| path != settings.metrics.path);
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
            let endpoints = can_fail(&resources);
            Some(Faults::new(endpoints, Arc::clone(&routes), &metrics)?)
        } else {
            None
        };
        let request_timeout = Timeout::new(settings.server.request_timeout);
        Ok(Self {
            service_data: service.data.into(),
            health,
            metrics: web::Data::new(metrics),
            faults: faults.map(Arc::new),
            document: web::Data::new(Document::new(&resources, &info)?),
            info: web::Data::new(info),
            resources: resources.into(),
            routes,
            limits: Limits {
                max_body_bytes: settings.server.max_body_bytes,
                body_timeout: request_timeout,
            },
            access_lines: logging.access_lines(),
        })
    }

    /// The public port while the service is being built: the probes, and for all others that it is.
    pub(crate) fn starting(
        build: Build,
        settings: &Settings,
        health: Arc<Health>,
        logging: &Logging,
    ) -> anyhow::Result<PortApp> {
        let probes = [health::LIVENESS, health::READINESS];
        let mut state = Self::new(build, settings, Service::new(), health, logging)?;
        let resources = Resource::group(probes)?;
        state.document = web::Data::new(Document::new(&resources, &state.info)?);
        state.routes = routes(&resources, |_| false);
        state.resources = resources.into();
        Ok(PortApp {
            is_starting: true,
            ..state.public()
        })
    }

    /// The public port.
    pub(crate) fn public(&self) -> PortApp {
        PortApp {
            state: self.clone(),
            private: None,
            is_starting: false,
        }
    }

    /// The management port, with these endpoints.
    pub(crate) fn private(
        &self,
        endpoints: Vec<Endpoint>,
        private: Private,
    ) -> anyhow::Result<PortApp> {
        let resources = Resource::group(endpoints)?;
        Ok(PortApp {
            state: Self {
                // However little the public one takes, an operator must be able to say what he wants.
                limits: Limits {
                    max_body_bytes: MAX_PRIVATE_BODY,
                    ..self.limits.clone()
                },
                document: web::Data::new(Document::new(&resources, &self.info)?),
                routes: routes(&resources, |_| false),
                resources: resources.into(),
                ..self.clone()
            },
            private: Some(private),
            is_starting: false,
        })
    }
}

/// The routes of these resources, by what of them is counted.
fn routes(resources: &[Resource], is_counted: impl Fn(&str) -> bool) -> Arc<Routes> {
    let methods: Vec<_> = resources.iter().map(Resource::methods).collect();
    Arc::new(Routes::new(resources.iter().zip(&methods).map(
        |(resource, methods)| Route {
            pattern: resource.path(),
            methods,
            counted: is_counted(resource.path()),
        },
    )))
}

impl PortApp {
    /// What becomes of what is no request.
    pub(crate) fn refusals(&self) -> Refusals {
        Refusals {
            metrics: self.private.is_none().then(|| self.state.metrics.clone()),
            access_lines: Arc::clone(&self.state.access_lines),
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
        let access_log = AccessLog::new(Arc::clone(&state.access_lines), Arc::clone(&state.routes));
        App::new()
            .app_data(state.metrics.clone())
            .app_data(state.info.clone())
            .app_data(web::Data::from(Arc::clone(&state.health)))
            // The endpoint, behind a time limit and a net for panics.
            .configure(|cfg| {
                configure(cfg, &state.resources, &state.document, &state.limits);
                for hand_over in &*state.service_data {
                    hand_over(cfg);
                }
                if let Some(private) = &self.private {
                    private.configure(cfg);
                }
                if self.is_starting {
                    cfg.default_service(web::to(still_starting));
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
                Arc::clone(&state.routes),
            ))
    }
}

async fn still_starting() -> HttpResponse {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the service is starting; try again in a moment",
    );
    let mut answer = problem.to_response();
    let second = HeaderValue::from_static("1");
    answer.headers_mut().insert(header::RETRY_AFTER, second);
    answer
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
fn can_fail(resources: &[Resource]) -> Vec<String> {
    let probes = [
        health::LIVENESS.path,
        health::READINESS.path,
        health::DEPENDENCY.path,
    ];
    resources
        .iter()
        .map(|resource| resource.path().to_string())
        .filter(|path| !probes.iter().any(|probe| probe == path))
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
    use berth_kit_http::duration;
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
        let resources = Resource::group(endpoints(&settings, Vec::new())).unwrap();
        let document = Document::new(&resources, &info(build, &settings)).unwrap();
        let document: Value = serde_json::from_slice(document.bytes()).unwrap();
        assert_eq!(document["info"]["title"], "a \"b\"");
        let bytes = &document["paths"]["/debug/bytes/{n}"]["get"]["parameters"][0]["schema"];
        assert_eq!(bytes["maximum"], debug::MAX_BYTES);
        let duration = &document["components"]["schemas"]["Duration"];
        assert_eq!(duration["maxLength"], duration::MAX_BYTES);
        for resource in resources {
            let item = document["paths"][&**resource.path()].as_object().unwrap();
            let documented: Vec<_> = item.keys().map(|m| m.to_ascii_uppercase()).collect();
            for method in resource.methods() {
                let known = method == "HEAD" || documented.iter().any(|m| m == method);
                assert!(known, "{} {method}", resource.path());
            }
        }
    }
}
