//! The whole request path.

mod contract;
mod error;
mod gate;
mod hosts;
pub(crate) mod metrics_path;
mod refusals;

use std::sync::Arc;

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    web,
};
use berth_kit_health::{CheckMetrics, Health, health};
use berth_kit_http::{
    Boundary, BuildInfo, Limits, Observed, Problem, RouteTable, Routes, Shedding, Timeout,
    TrustedProxies, configure, openapi::Document,
};
use berth_kit_memory::Budget;
use berth_kit_settings::{Loaded, MaxInFlight, Settings};
use berth_kit_telemetry::{
    log::{AccessLines, AccessLog, Logging, Probes},
    metrics::{self, Metrics},
    prometheus::core::Collector,
};
use futures_util::future::Either;

pub(crate) use contract::openapi;
use contract::{Contract, exposition};
pub(crate) use error::MountError;
use gate::Gate;
use hosts::AllowedHosts;
use refusals::Refusals;

use crate::{devtools::faults::Faults, runtime::Build};

/// The routes of the probes.
const PROBES: [&str; 3] = [health::LIVENESS, health::READINESS, health::DEPENDENCY];

/// The largest body that the management port takes, in bytes.
const MAX_PRIVATE_BODY: usize = 64 * 1024;

/// What both ports share.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: web::Data<Metrics>,
    info: web::Data<BuildInfo>,
    pub(crate) faults: Option<Arc<Faults>>,
    pub(crate) limits: Limits,
    access_lines: Arc<AccessLines>,
    /// The path of the scrape, where it is on this port.
    scrape: Option<Arc<str>>,
    routes: Routes,
    /// What the service itself has mounted.
    pub(crate) own: Arc<RouteTable>,
    document: web::Data<Document>,
    table: Arc<RouteTable>,
    proxies: TrustedProxies,
}

/// What one port shows: what its workers' [`App`] is composed of. Both ports have one type of app,
/// because each type brings the whole HTTP machinery into the binary once more.
#[derive(Clone)]
pub(crate) struct PortApp {
    state: AppState,
    /// None on the public port, which anybody may ask by any name.
    hosts: Option<Arc<AllowedHosts>>,
    /// What machines and operators ask is no use of the service: logged, but not counted.
    is_public: bool,
    /// While it starts, there are no metrics yet that could count.
    is_starting: bool,
}

/// What the ports show while the service is being built.
pub(crate) struct Starting {
    pub(crate) public: PortApp,
    pub(crate) private: PortApp,
}

impl AppState {
    /// `routes` and `own_metrics` are the service's own.
    ///
    /// # Errors
    ///
    /// When two handlers answer the same method on the same path, the metrics are to be served at the path of one, or
    /// two metrics have one name.
    pub(crate) async fn new(
        build: Build,
        loaded: &Loaded,
        routes: Routes,
        own_metrics: Vec<Box<dyn Collector>>,
        health: Arc<Health>,
        logging: &Logging,
    ) -> Result<Self, MountError> {
        let settings = &loaded.settings;
        let Contract {
            own,
            mut routes,
            survey,
            info,
            document,
        } = Contract::new(build, loaded, routes).await?;
        if survey.undocumented().is_empty() {
            routes = routes.in_groups();
        }
        // A scrape is no use of the service.
        let scrape = settings.metrics.path.as_str();
        let scrape = metrics_path::is_public(settings).then_some(scrape);
        let not_counted = scrape.map(str::to_owned);
        let table = Arc::new(RouteTable::new(survey.routes, not_counted));
        let metrics = Metrics::new(
            metrics::Build {
                version: &info.version,
                revision: &info.revision,
                rustc: &info.rustc,
            },
            Arc::clone(&table),
            settings.shutdown.timeout,
        )?;
        for metric in own_metrics {
            metrics.register_boxed(metric)?;
        }
        let probed = Arc::clone(&health);
        metrics.register_ready(move || probed.is_ready())?;
        let checks = CheckMetrics::new(Arc::clone(&health)).map_err(metrics::Error::from)?;
        metrics.register(checks)?;
        let faults = if settings.debug.routes && settings.management.port.is_some() {
            Some(Faults::new(can_fail(&table), &metrics)?)
        } else {
            None
        };
        Ok(Self {
            health,
            metrics: web::Data::new(metrics),
            faults: faults.map(Arc::new),
            document: web::Data::new(document),
            info: web::Data::new(info),
            routes,
            table,
            limits: Limits {
                max_body_bytes: settings.server.max_body_bytes,
                timeout: Timeout::new(settings.server.request_timeout),
                shedding: None,
            },
            access_lines: logging.access_lines(),
            scrape: scrape.map(Arc::from),
            own: Arc::new(own),
            proxies: TrustedProxies::new(&settings.server.trusted_proxies),
        })
    }

    /// Refuses requests of clients where there are too many of them, or memory is short.
    pub(crate) fn shedding(
        mut self,
        settings: &Settings,
        memory: Option<Arc<Budget>>,
    ) -> Result<Self, MountError> {
        let max = settings.server.max_in_flight;
        if memory.is_none() && max.is_none() {
            return Ok(self);
        }
        let scrape = self.scrape.as_deref().map(str::to_owned);
        let exempt = PROBES.map(str::to_owned).into_iter().chain(scrape);
        let exempt = exempt.chain(self.routes.exempt().iter().cloned());
        let metrics = self.metrics.clone();
        let shedding = Shedding::new(exempt, move |reason| metrics.shed(reason.name()));
        let shedding = shedding.memory(memory);
        self.limits.shedding = Some(match max {
            None => shedding,
            Some(MaxInFlight::Fixed(max)) => {
                self.metrics.register_max_in_flight(move || max.get())?;
                shedding.max_in_flight(max.get())
            }
            Some(MaxInFlight::Auto) => {
                let (shedding, workers) = shedding.adaptive();
                self.metrics
                    .register_max_in_flight(move || workers.limit())?;
                shedding
            }
        });
        Ok(self)
    }

    /// The public and the management port while the service is being built: the probes, and for all others that it is.
    /// What is asked there is logged, but not counted: the metrics begin with the service.
    pub(crate) async fn starting(
        build: Build,
        loaded: &Loaded,
        health: Arc<Health>,
        logging: &Logging,
    ) -> Result<Starting, MountError> {
        let none = Routes::default();
        let state = Self::new(build, loaded, none, Vec::new(), health, logging).await?;
        let routes = Routes::new(|cfg| {
            cfg.configure(health::probes).actix(|app| {
                app.default_service(web::to(still_starting));
            });
        });
        let public = PortApp {
            is_starting: true,
            ..state.with(routes).await?.public()
        };
        let hosts = AllowedHosts::new(&loaded.settings, &state.info.hostname);
        let private = PortApp {
            hosts: Some(Arc::new(hosts)),
            is_public: false,
            ..public.clone()
        };
        Ok(Starting { public, private })
    }

    /// The public port.
    pub(crate) fn public(&self) -> PortApp {
        PortApp {
            state: self.clone(),
            hosts: None,
            is_public: true,
            is_starting: false,
        }
    }

    /// The management port, with these routes, among which is the scrape.
    pub(crate) async fn private(
        &self,
        settings: &Settings,
        routes: Routes,
    ) -> Result<PortApp, MountError> {
        let mut state = self.with(routes.merge(exposition(settings))).await?;
        state.scrape = Some(settings.metrics.path.as_str().into());
        // However little the public one takes, an operator must be able to say what he wants.
        state.limits.max_body_bytes = MAX_PRIVATE_BODY;
        state.limits.shedding = None;
        let hosts = AllowedHosts::new(settings, &self.info.hostname);
        Ok(PortApp {
            state,
            hosts: Some(Arc::new(hosts)),
            is_public: false,
            is_starting: false,
        })
    }

    /// The same with other routes, which are not counted.
    async fn with(&self, routes: Routes) -> Result<Self, MountError> {
        let survey = routes.survey().await?;
        Ok(Self {
            document: web::Data::new(Document::new(&survey, &self.info)?),
            table: Arc::new(RouteTable::new(survey.routes, None)),
            routes,
            ..self.clone()
        })
    }
}

impl PortApp {
    /// Whether it is what clients use the service by.
    fn is_service(&self) -> bool {
        self.is_public && !self.is_starting
    }

    /// Has liveness know of the worker whose thread this is, where clients depend on it.
    pub(crate) fn watch_worker(&self) {
        if self.is_service() {
            self.state.health.watch_worker();
        }
    }

    /// What becomes of what is no request.
    pub(crate) fn refusals(&self) -> Refusals {
        Refusals {
            metrics: self.is_service().then(|| self.state.metrics.clone()),
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
        let is_counted = self.is_service();
        let metrics = is_counted.then(|| state.metrics.http_observer());
        let faults = state.faults.clone().filter(|_| is_counted);
        let hosts = self.hosts.clone().map(Gate::Hosts);
        let gate = hosts.or_else(|| faults.map(Gate::Faults));
        let probes = Probes::of(
            &state.table,
            PROBES.into_iter().chain(state.scrape.as_deref()),
        );
        let access_log = AccessLog::new(Arc::clone(&state.access_lines), probes);
        App::new()
            .app_data(state.metrics.clone())
            .app_data(state.info.clone())
            .app_data(state.document.clone())
            .app_data(web::Data::from(Arc::clone(&state.health)))
            .configure(configure)
            .configure(|app| state.routes.mount(app))
            // Limits, a net for panics, one form for every error.
            .wrap(Boundary::new(
                state.limits.clone(),
                Arc::clone(&state.table),
            ))
            // An injected fault, where somebody asked for it; what a management port is not asked by.
            .wrap_fn(move |req, next| {
                let stopped = gate.as_ref().and_then(|gate| gate.stops(&req));
                match stopped {
                    None => Either::Left(next.call(req)),
                    // In a box, since it is rare: what is not there need not be moved around.
                    Some(stopped) => Either::Right(stopped.answer(req, next)),
                }
            })
            // Outermost, so that nothing is answered unseen.
            .wrap(Observed::new(
                (metrics, access_log),
                Arc::clone(&state.table),
                state.proxies.clone(),
            ))
    }
}

async fn still_starting() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the service is starting; try again in a moment",
    )
    .with_header((header::RETRY_AFTER, 1))
}

/// The routes whose requests may get a fault.
fn can_fail(table: &RouteTable) -> Vec<String> {
    let patterns = table.routes().iter().skip(1).map(|route| &route.pattern);
    patterns
        .filter(|pattern| !PROBES.contains(&pattern.as_str()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
