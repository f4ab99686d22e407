//! The settings of a process, from what they are read from.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::entry::Entry;
use crate::ignored::{IgnoredVariable, ignored};
use crate::reading::fault::{Error, Fault, Faults, Origin};
use crate::reading::{layers, log_filter, reader};
use crate::section::{Sections, ServiceSettings};
use crate::service_name::ServiceName;
use crate::settings::Settings;

/// What the settings are read from, over the built-in defaults.
///
/// Not `Debug`: the environment holds other programs' secrets.
#[derive(Clone)]
pub struct Sources {
    /// Whose settings they are.
    pub service: ServiceName,
    /// The version that was built, which `app.version` is by default.
    pub version: &'static str,
    /// A TOML or YAML file, told apart by the extension.
    pub file: Option<PathBuf>,
    /// Names and values of the environment's variables; those that are no setting are ignored.
    pub environment: Vec<(OsString, OsString)>,
}

impl Sources {
    /// Nothing but the defaults.
    #[must_use]
    pub fn new(service: ServiceName, version: &'static str) -> Self {
        Self {
            service,
            version,
            file: None,
            environment: Vec::new(),
        }
    }

    /// The process's environment, and `file` if there is one, else what the service's
    /// [`config_variable`](ServiceName::config_variable) names if it is set and not empty.
    #[must_use]
    pub fn from_process(
        service: ServiceName,
        version: &'static str,
        file: Option<PathBuf>,
    ) -> Self {
        let named = || env::var_os(service.config_variable()).filter(|path| !path.is_empty());
        Self {
            service,
            version,
            file: file.or_else(|| named().map(PathBuf::from)),
            environment: env::vars_os().collect(),
        }
    }
}

/// Settings that hold, and an account of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every key, its effective value and where it was set, in the order of `defaults.toml`; those of the
    /// service's own sections after them.
    pub entries: Vec<Entry>,
    /// Variables that look like settings of this service and are none. Nothing of them is in force.
    pub ignored: Vec<IgnoredVariable>,
}

impl Loaded {
    /// The fault of a key whose value is right by itself and does not go with the program.
    #[must_use]
    pub fn refuse(&self, key: &str, problem: impl Into<String>) -> Error {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let fault = Fault {
            key: key.to_owned(),
            value: entry.map(|entry| entry.value.clone()),
            origin: entry.map_or(Origin::Default, |entry| entry.origin.clone()),
            problem: problem.into(),
        };
        Error::Invalid(Faults::of(fault))
    }
}

/// Reads the settings of a service without sections of its own; see [`load_as`].
///
/// # Errors
///
/// As [`load_as`].
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    load_as::<Settings>(sources).map(|(loaded, _)| loaded)
}

/// Reads the settings, with the service's own. Opens the file, and nothing else.
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read; [`Error::Invalid`] with every fault where the
/// settings do not hold. A file that is not well-formed is one such fault: the environment is
/// checked all the same.
pub fn load_as<S: ServiceSettings>(sources: &Sources) -> Result<(Loaded, S), Error> {
    let service = sources.service;
    let file = sources.file.as_deref();
    let file = file.map(|path| layers::file(service, path)).transpose()?;
    let (mut set, malformed) = match file {
        None => (layers::Layer::new(), None),
        Some(Ok(layer)) => (layer, None),
        Some(Err(fault)) => (layers::Layer::new(), Some(fault)),
    };
    set.extend(layers::environment(service, &sources.environment));
    let mut reader = reader::Reader::new(service, layers::defaults(service, sources.version), set);
    if let Some(fault) = malformed {
        reader.fault(fault);
    }
    let settings = Settings::read(&mut reader);
    let own = S::read(settings.clone(), &mut Sections(&mut reader));
    let known: Vec<_> = reader.entries().iter().map(|entry| &*entry.key).collect();
    let ignored = ignored(service, &sources.environment, &known);
    match reader.finish() {
        Ok(entries) => {
            let loaded = Loaded {
                settings,
                entries,
                ignored,
            };
            Ok((loaded, own))
        }
        Err(faults) => Err(Error::Invalid(faults.beside(ignored))),
    }
}

/// Whether `text` will do as `log.filter`.
///
/// # Errors
///
/// What is wrong with it, and what was probably meant.
pub fn check_log_filter(text: &str) -> Result<(), String> {
    log_filter::log_filter(&layers::Raw::Text(text.into())).map(drop)
}
