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

use berth_kit_settings::{Protocol, ReadinessCheck};

use crate::{error::CheckError, readiness::Check};

/// How to ask, as far as this program was built with it.
pub(crate) fn of(check: &ReadinessCheck) -> Result<Box<dyn Check>, CheckError> {
    Ok(match check.target.protocol() {
        Protocol::Tcp => tcp::new(check),
        #[cfg(feature = "check-http")]
        Protocol::Http => http::plain(check)?,
        #[cfg(feature = "check-https")]
        Protocol::Https => http::tls(check)?,
        #[cfg(feature = "check-redis")]
        Protocol::Redis => redis::new(check),
        #[cfg(feature = "check-postgres")]
        Protocol::Postgres => postgres::new(check),
        #[allow(unreachable_patterns, reason = "with every feature, nothing is left")]
        _ => {
            return Err(CheckError::NotBuiltIn {
                name: check.name.clone(),
                target: check.target.to_string(),
                feature: feature(check.target.protocol()),
            });
        }
    })
}

/// The cargo feature that asks by this protocol.
#[allow(dead_code, reason = "with every feature, nobody needs to know")]
fn feature(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "default",
        Protocol::Http => "check-http",
        Protocol::Https => "check-https",
        Protocol::Redis => "check-redis",
        Protocol::Postgres => "check-postgres",
    }
}
