//! How each kind of dependency is asked.

#[cfg(feature = "check-http")]
mod http;
#[cfg(any(
    feature = "check-http",
    feature = "check-postgres",
    feature = "check-redis"
))]
mod kept;
#[cfg(feature = "check-postgres")]
mod postgres;
#[cfg(feature = "check-redis")]
mod redis;
mod tcp;

use berth_kit_settings::{ReadinessCheck, Target};

use crate::{error::CheckError, readiness::Check};

/// How to ask, as far as this program was built with it.
pub(crate) fn of(check: &ReadinessCheck) -> Result<Box<dyn Check>, CheckError> {
    match &check.target {
        Target::Tcp { host, port } => Ok(tcp::new(host, *port)),
        #[cfg(feature = "check-http")]
        Target::Http(url) => http::plain(check, url),
        #[cfg(feature = "check-https")]
        Target::Https(url) => http::tls(check, url),
        #[cfg(feature = "check-redis")]
        Target::Redis(url) => redis::new(check, url),
        #[cfg(feature = "check-postgres")]
        Target::Postgres(url) => postgres::new(check, url),
        #[allow(unreachable_patterns, reason = "with every feature, nothing is left")]
        target => Err(CheckError::NotBuiltIn {
            name: check.name.clone(),
            target: target.to_string(),
            feature: feature(target),
        }),
    }
}

/// The cargo feature that asks this.
#[allow(dead_code, reason = "with every feature, nobody needs to know")]
fn feature(target: &Target) -> &'static str {
    match target {
        Target::Tcp { .. } => "default",
        Target::Http(_) => "check-http",
        Target::Https(_) => "check-https",
        Target::Redis(_) => "check-redis",
        Target::Postgres(_) => "check-postgres",
    }
}
