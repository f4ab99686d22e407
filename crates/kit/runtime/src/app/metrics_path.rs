//! Whether the metrics can be served where `metrics.path` wants them, beside everything else on that port.

use berth_kit_http::{RouteId, RouteTable};
use berth_kit_settings::{Error, Loaded, Settings};

use super::{MountError, contract::kit_routes};
use crate::management;

/// The key that is refused.
const KEY: &str = "metrics.path";

/// Whether the public port serves them.
pub(crate) fn is_public(settings: &Settings) -> bool {
    settings.metrics.enabled && settings.management.port.is_none()
}

/// Refuses the path of a route of the kit, on the port where the metrics are served. No service has to be built for it.
///
/// # Errors
///
/// [`MountError::Settings`], with which route has it.
pub(crate) async fn beside_the_kit(loaded: &Loaded) -> Result<(), MountError> {
    let settings = &loaded.settings;
    if !settings.metrics.enabled {
        return Ok(());
    }
    let routes = if is_public(settings) {
        kit_routes(settings)
    } else {
        management::shown(settings)
    };
    let table = RouteTable::new(routes.survey().await?.routes, None);
    let route = table.find(&settings.metrics.path);
    if route == RouteId::UNMATCHED {
        return Ok(());
    }
    let name = table.name(route);
    Err(refused(loaded, &format!("the kit's {name} answers")).into())
}

/// Refuses the path of a route of the service's own. A route whose every part is a parameter, such as one for all
/// paths, has no path of its own: the metrics answer before it, as the probes do.
///
/// # Errors
///
/// [`Error`], with which route has it.
pub(crate) fn beside_the_service(loaded: &Loaded, own: &RouteTable) -> Result<(), Error> {
    if !is_public(&loaded.settings) {
        return Ok(());
    }
    // Of several that hold for the path, that with the longest literal beginning.
    let route = own.find(&loaded.settings.metrics.path);
    let name = own.name(route);
    if route == RouteId::UNMATCHED || name.starts_with("/{") {
        return Ok(());
    }
    Err(refused(
        loaded,
        &format!("the service's own {name} answers"),
    ))
}

fn refused(loaded: &Loaded, why: &str) -> Error {
    let problem = format!("must not be the path of another route on its port: {why} there");
    loaded.refuse(KEY, problem)
}
