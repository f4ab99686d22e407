//! Sections of the service's own, read by serde.

use std::collections::BTreeSet;

use config::{ConfigError, Map, Value, ValueKind};
use garde::Validate;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::Settings;
use crate::fault::{Fault, Origin, is_secret, quote};
use crate::layers::Raw;
use crate::reader::Reader;
use crate::secret::{MASK, NOT_SHOWN};

/// The settings of a service: Berth's, and its own.
///
/// ```
/// use berth_kit_settings::{Sections, ServiceSettings, Sources, load_as};
/// use garde::Validate;
/// use serde::{Deserialize, Serialize};
///
/// pub struct Settings {
///     pub berth: berth_kit_settings::Settings,
///     pub orders: Orders,
/// }
///
/// /// How orders are taken.
/// #[derive(Serialize, Deserialize, Validate)]
/// #[serde(default, deny_unknown_fields)]
/// pub struct Orders {
///     /// Orders on a page, 1 to 100.
///     #[garde(range(min = 1, max = 100))]
///     pub page_size: u32,
/// }
///
/// impl Default for Orders {
///     fn default() -> Self {
///         Self { page_size: 20 }
///     }
/// }
///
/// impl ServiceSettings for Settings {
///     fn read(berth: berth_kit_settings::Settings, sections: &mut Sections<'_>) -> Self {
///         Self { berth, orders: sections.take("orders") }
///     }
/// }
///
/// let name = "BERTH__ORDERS__PAGE_SIZE".into();
/// let mut sources = Sources { file: None, environment: vec![(name, "50".into())] };
/// let (_, settings) = load_as::<Settings>(&sources)?;
/// assert_eq!(settings.orders.page_size, 50);
///
/// sources.environment[0].1 = "0".into();
/// let Err(error) = load_as::<Settings>(&sources) else { panic!("a fault") };
/// assert!(error.to_string().contains("orders.page_size = \"0\""));
/// # Ok::<(), berth_kit_settings::Error>(())
/// ```
pub trait ServiceSettings: Sized {
    /// Takes the sections of the service's own.
    fn read(berth: Settings, sections: &mut Sections<'_>) -> Self;
}

/// A service without a section of its own.
impl ServiceSettings for Settings {
    fn read(berth: Settings, _: &mut Sections<'_>) -> Self {
        berth
    }
}

/// Where a service takes its sections from.
pub struct Sections<'a>(pub(crate) &'a mut Reader);

impl Sections<'_> {
    /// The section `name`, which is none of Berth's. What is not set has its default; every key that is set to
    /// something wrong is a fault, and the default stands in for it.
    ///
    /// `T` is a struct with `#[serde(default, deny_unknown_fields)]`, whose every field is written out. In the
    /// environment, a list or table is written as JSON.
    pub fn take<T>(&mut self, name: &str) -> T
    where
        T: Default + Serialize + DeserializeOwned + Validate<Context: Default>,
    {
        let default = T::default();
        let Some(keys) = fields(&default) else {
            self.misuse(
                name,
                "the type of this section must be a struct with named fields",
            );
            return default;
        };
        if self.0.has_section(name) {
            self.misuse(
                name,
                "is a section of Berth's own; the service's needs another name",
            );
            return default;
        }
        if let Err(error) = read::<T>(Map::new()) {
            let problem = format!("the type of this section needs #[serde(default)]: {error}");
            self.misuse(name, &problem);
            return default;
        }
        let mut all = Map::new();
        let mut set = Vec::new();
        for (key, default) in &keys {
            let full = format!("{name}.{key}");
            let Some((raw, origin)) = self.0.take_raw(&full) else {
                continue;
            };
            let is_masked = is_secret(&full) || *default == MASK;
            let shown = raw.shown().filter(|_| !is_masked);
            // Alone, so that what is wrong is this key's.
            let alone = value(raw).and_then(|value| {
                read::<T>(Map::from_iter([(key.clone(), value.clone())]))?;
                Ok(value)
            });
            match alone {
                Ok(value) => {
                    all.insert(key.clone(), value);
                    set.push((key.clone(), origin, shown));
                }
                Err(problem) => self.0.fault(Fault {
                    key: full,
                    value: shown.filter(|_| problem != NOT_SHOWN),
                    origin,
                    problem: if is_masked {
                        NOT_SHOWN.to_owned()
                    } else {
                        problem
                    },
                }),
            }
        }
        let section = read::<T>(all).unwrap_or(default);
        let mut faulty = BTreeSet::new();
        if let Err(report) = section.validate() {
            for (path, error) in report.iter() {
                let path = path.to_string();
                let key = path.split(['.', '[']).next().unwrap_or_default();
                let known = set.iter().find(|(set, ..)| set == key);
                faulty.insert(key.to_owned());
                self.0.fault(Fault {
                    key: format!("{name}.{path}"),
                    value: known.and_then(|(_, _, shown)| shown.clone()),
                    origin: known.map_or(Origin::Default, |(_, origin, _)| origin.clone()),
                    problem: error.to_string(),
                });
            }
        }
        for (key, value) in fields(&section).unwrap_or_default() {
            let origin = set.iter().find(|(set, ..)| *set == key);
            let origin = origin.map_or(Origin::Default, |(_, origin, _)| origin.clone());
            self.0
                .record(format!("{name}.{key}"), render(&value), origin);
        }
        if faulty.is_empty() {
            section
        } else {
            T::default()
        }
    }

    /// A fault of the program, which its first start finds.
    fn misuse(&mut self, name: &str, problem: &str) {
        self.0.fault(Fault {
            key: name.to_owned(),
            value: None,
            origin: Origin::Default,
            problem: problem.to_owned(),
        });
    }
}

/// The fields of a section by name, in their order.
fn fields(section: &impl Serialize) -> Option<Vec<(String, Json)>> {
    match serde_json::to_value(section) {
        Ok(Json::Object(fields)) => Some(fields.into_iter().collect()),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    T::deserialize(Value::new(None, ValueKind::Table(fields))).map_err(|error| problem(&error))
}

fn problem(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => problem(error),
        ConfigError::Type { expected, .. } => format!("must be {expected}"),
        ConfigError::Message(text) => text.clone(),
        other => other.to_string(),
    }
}

fn value(raw: Raw) -> Result<Value, String> {
    let kind = match raw {
        Raw::Typed(kind) => kind,
        Raw::Text(text) => {
            let Ok(text) = text.into_string() else {
                return Err("must be UTF-8".to_owned());
            };
            if text.starts_with(['[', '{']) {
                return serde_json::from_str(&text)
                    .map_err(|error| format!("is no valid JSON: {error}"));
            }
            ValueKind::String(text)
        }
    };
    Ok(Value::new(None, kind))
}

/// As it would be written in TOML, or in JSON where it is a list or a table.
fn render(value: &Json) -> String {
    match value {
        Json::Null => "(unset)".to_owned(),
        Json::String(text) if text == MASK => text.clone(),
        Json::String(text) => quote(text, usize::MAX),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
