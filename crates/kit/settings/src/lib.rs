//! Typed settings of an HTTP service.
//!
//! They come in layers, and a later one wins: the built-in defaults (`defaults.toml`, which is
//! also the reference of all keys), a TOML or YAML file, the environment as
//! `SHOP__SECTION__KEY` for a service named `shop`, and the plain variables `PORT`, `ENVIRONMENT`,
//! `APP_NAME` and `VERSION`. An empty variable counts as unset. What a later layer covers is not
//! looked at.
//!
//! [`load`](load()) returns settings that hold, or every fault at once:
//!
//! ```
//! use berth_kit_settings::{Error, Origin, ServiceName, Sources, load};
//!
//! let mut sources = Sources::new(ServiceName::new("shop"), "1.0.0");
//! sources.environment.push(("PORT".into(), "3000".into()));
//! let loaded = load(&sources)?;
//! assert_eq!(loaded.settings.server.port, 3000);
//! let port = loaded.entries.iter().find(|entry| entry.key == "server.port").unwrap();
//! assert_eq!(port.origin, Origin::Env("PORT".to_owned()));
//!
//! sources.environment.push(("SHOP__SERVER__BACKLOG".into(), "many".into()));
//! sources.environment.push(("SHOP__LOG__FORMATS".into(), "json".into()));
//! let Err(error) = load(&sources) else { panic!("two faults") };
//! assert_eq!(
//!     error.to_string(),
//!     "2 faults in the settings:\n  \
//!      log.formats (environment variable SHOP__LOG__FORMATS): \
//!      unknown key; did you mean `log.format` (SHOP__LOG__FORMAT)?\n  \
//!      server.backlog = \"many\" (environment variable SHOP__SERVER__BACKLOG): \
//!      must be a whole number from 1 to 65535"
//! );
//! # Ok::<(), Error>(())
//! ```

mod entry;
mod ignored;
mod load;
mod postgres_url;
mod reading;
mod reference;
mod reload;
mod secret;
mod section;
mod service_name;
mod settings;

pub use entry::Entry;
pub use ignored::IgnoredVariable;
pub use load::{Loaded, Sources, check_log_filter, load, load_as};
pub use postgres_url::PostgresUrl;
pub use reading::{
    fault::{Error, Fault, Faults, FileProblem, Origin},
    file::is_empty as file_is_empty,
    values::{LogFormat, MaxInFlight, Workers},
};
pub use reference::reference;
pub use reload::Reloaded;
pub use secret::{Secret, SecretUrl, UrlError};
pub use section::{Sections, ServiceSettings, duration};
pub use service_name::ServiceName;
pub use settings::{
    App, Debug, Log, Management, Metrics, Readiness, Server, Settings, Shutdown,
    checks::ReadinessCheck, target::Target,
};

#[cfg(test)]
mod tests;
