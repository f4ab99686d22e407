//! What the public port shows: all of it is known without building the service.

use berth_kit_health::health;
use berth_kit_http::{
    BuildInfo, RouteId, RouteTable, Routes, Survey,
    openapi::{self, Document},
};
use berth_kit_settings::{Loaded, Settings, Sources, load};
use berth_kit_telemetry::metrics;

use super::{MountError, metrics_path};
use crate::{
    devtools::{self, debug},
    runtime::Build,
};

/// The routes of the public port, and what is known of them.
pub(super) struct Contract {
    /// What the service itself has mounted.
    pub(super) own: RouteTable,
    pub(super) routes: Routes,
    pub(super) survey: Survey,
    pub(super) info: BuildInfo,
    pub(super) document: Document,
}

impl Contract {
    /// # Errors
    ///
    /// When the routes are in each other's way, or in that of a setting.
    pub(super) async fn new(
        build: Build,
        loaded: &Loaded,
        routes: Routes,
    ) -> Result<Self, MountError> {
        let settings = &loaded.settings;
        let mut survey = routes.survey().await?;
        let own = RouteTable::new(std::mem::take(&mut survey.routes), None);
        metrics_path::beside_the_service(loaded, &own)?;
        let is_taken = |path: &str| own.find(path) != RouteId::UNMATCHED || survey.takes(path);
        let routes = public_routes(settings, routes, is_taken);
        let survey = routes.survey().await?;
        let info = info(build, settings);
        let document = Document::new(&survey, &info)?;
        Ok(Self {
            own,
            routes,
            survey,
            info,
            document,
        })
    }
}

/// The document of a service with these routes, and with these variables in its environment.
pub(crate) async fn openapi(
    build: Build,
    routes: Routes,
    environment: &[(&str, &str)],
) -> anyhow::Result<serde_json::Value> {
    let mut sources = Sources::new(build.name, build.version);
    let variables = environment.iter();
    sources.environment = variables
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let loaded = load(&sources)?;
    devtools::needed(&loaded)?;
    let contract = Contract::new(build, &loaded, routes).await?;
    Ok(serde_json::from_slice(contract.document.bytes())?)
}

/// All that these settings turn on. Metrics are on the management port, where there is one. `is_taken` tells whether
/// what the service has mounted answers a path.
pub(super) fn public_routes(
    settings: &Settings,
    own: Routes,
    is_taken: impl Fn(&str) -> bool,
) -> Routes {
    let is_exposed = metrics_path::is_public(settings);
    let exposed = is_exposed.then(|| exposition(settings));
    let berths = kit_routes(settings).merge(exposed.unwrap_or_default());
    // The router tries them in this order: first what users ask for. But the probes and the scrape answer whatever
    // the service mounts, if only a route or a scope for every path.
    let paths = [
        health::LIVENESS,
        health::READINESS,
        "/ready/any",
        openapi::PATH,
        &settings.metrics.path,
        "/debug/any",
        "/debug/any/any",
    ];
    if paths.iter().any(|path| is_taken(path)) {
        berths.merge(own)
    } else {
        own.merge(berths)
    }
}

/// Those of the kit, without the scrape, whose path is the settings' to say.
pub(super) fn kit_routes(settings: &Settings) -> Routes {
    let has_debug = settings.debug.routes;
    Routes::new(move |cfg| {
        cfg.configure(health::routes).configure(openapi::routes);
        if has_debug {
            cfg.configure(debug::routes);
        }
    })
}

/// The scrape, where it is on.
pub(super) fn exposition(settings: &Settings) -> Routes {
    if !settings.metrics.enabled {
        return Routes::default();
    }
    let path = settings.metrics.path.clone();
    Routes::new(move |cfg| metrics::routes(&path, cfg))
}

pub(super) fn info(build: Build, settings: &Settings) -> BuildInfo {
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
