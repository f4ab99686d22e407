//! How each kind of dependency is asked.

#[cfg(feature = "check-http")]
mod http;
#[cfg(feature = "check-postgres")]
mod postgres;
#[cfg(feature = "check-redis")]
mod redis;
mod tcp;

use anyhow::bail;
use berth_kit_settings::{Protocol, ReadinessCheck};

use crate::readiness::Check;

/// How to ask, as far as this program was built with it.
pub(crate) fn of(check: &ReadinessCheck) -> anyhow::Result<Box<dyn Check>> {
    Ok(match check.target.protocol() {
        Protocol::Tcp => tcp::new(check),
        #[cfg(feature = "check-http")]
        Protocol::Http => http::plain(check),
        #[cfg(feature = "check-https")]
        Protocol::Https => http::tls(check)?,
        #[cfg(feature = "check-redis")]
        Protocol::Redis => redis::new(check),
        #[cfg(feature = "check-postgres")]
        Protocol::Postgres => postgres::new(check),
        #[allow(unreachable_patterns, reason = "with every feature, nothing is left")]
        _ => bail!(
            "readiness.checks: \"{}\" asks {}, and this program was built without that; \
             build it with the cargo feature check-http, check-https, check-redis or check-postgres",
            check.name,
            check.target
        ),
    })
}
