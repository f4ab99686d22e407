//! Variables that look like settings of this service and are none: nobody reads them, and whoever set them is told.

use std::ffi::OsString;
use std::fmt;

use crate::reading::{meant::distance, shown::escape};
use crate::service_name::ServiceName;

/// A variable that looks like a setting of the service and is none, such as `SHOP_SERVER__PORT` or
/// `shop__server__port`. Displayed on one line, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredVariable {
    /// Its name, as it is in the environment.
    pub name: String,
    /// What to write instead.
    pub advice: String,
}

impl fmt::Display for IgnoredVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = escape(&self.name, 256);
        write!(
            f,
            "the environment variable {name} is ignored: {}",
            self.advice
        )
    }
}

/// Those among `variables`, by name. `known` are all keys there are.
///
/// What Kubernetes sets for each Service begins with the name of the Service, which may be that of this one, or that
/// and a section's (`SHOP_SERVER_PORT=tcp://…` for a Service `shop-server`): it is known by `…_SERVICE_HOST` beside it.
pub(crate) fn ignored(
    service: ServiceName,
    variables: &[(OsString, OsString)],
    known: &[&str],
) -> Vec<IgnoredVariable> {
    let prefix = service.prefix();
    let stem = folded(&prefix);
    let config = service.config_variable();
    let names: Vec<_> = variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.to_string_lossy())
        .collect();
    let services: Vec<_> = names
        .iter()
        .filter_map(|name| name.strip_suffix("_SERVICE_HOST"))
        .collect();
    let mut found: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with(&prefix) && **name != config)
        .filter(|name| !services.iter().any(|service| is_injected(name, service)))
        .filter_map(|name| {
            let folded = folded(name);
            let advice = if folded == config {
                format!("did you mean {config}?")
            } else {
                advice(service, folded.strip_prefix(&stem)?, known)?
            };
            Some(IgnoredVariable {
                name: name.clone().into_owned(),
                advice,
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Whether Kubernetes sets it for the Service whose variables begin with `service`.
fn is_injected(name: &str, service: &str) -> bool {
    let rest = name.strip_prefix(service).unwrap_or_default();
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"]
        .iter()
        .filter_map(|kind| rest.strip_prefix(kind))
        .any(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// What was probably meant by a name whose part after the service's is `rest`.
fn advice(service: ServiceName, rest: &str, known: &[&str]) -> Option<String> {
    let in_section = |key: &&&str| {
        let (section, _) = key.split_once('.').unwrap_or_default();
        folded(section) == rest
    };
    if let Some(key) = known.iter().find(in_section) {
        let (section, _) = key.split_once('.')?;
        let example = service.variable(key);
        return Some(format!(
            "`{section}` is a section; set the keys in it, such as {example}"
        ));
    }
    // No key is so long, and the distance takes time by both lengths.
    if rest.len() > 64 {
        return None;
    }
    let near = known.iter().map(|key| (distance(&folded(key), rest), *key));
    let (far, key) = near.min()?;
    // Of short names many are as near as two letters.
    let is_near = far <= 2.min(key.len() / 4);
    is_near.then(|| format!("did you mean {}?", service.variable(key)))
}

/// In upper case, with a single underscore wherever something stands between words.
fn folded(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '_' | '-' | '.' | ':' if folded.ends_with('_') => {}
            '_' | '-' | '.' | ':' => folded.push('_'),
            c => folded.push(c.to_ascii_uppercase()),
        }
    }
    folded
}
