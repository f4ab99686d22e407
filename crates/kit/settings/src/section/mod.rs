//! Sections of the service's own, read by serde.

pub mod duration;
mod value;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use garde::Validate;
use serde::{
    Serialize,
    de::{DeserializeOwned, value::MapDeserializer},
};
use serde_json::Value as Json;
use utoipa::ToSchema;

use value::{Problem, Value};

use crate::entry::UNSET;
use crate::reading::described::{Described, Document};
use crate::reading::fault::{Fault, Origin};
use crate::reading::layers::Raw;
use crate::reading::reader::Reader;
use crate::reading::shown::{is_secret, quote};
use crate::secret::{self, MASK, NOT_SHOWN, SAFE};
use crate::settings::Settings;

/// The settings of a service: Berth's, and its own.
///
/// ```
/// use berth_kit_settings::{Sections, ServiceName, ServiceSettings, Sources, load_as};
/// use garde::Validate;
/// use serde::{Deserialize, Serialize};
/// use utoipa::ToSchema;
///
/// pub struct Settings {
///     pub kit: berth_kit_settings::Settings,
///     pub orders: Orders,
/// }
///
/// /// How orders are taken.
/// #[derive(Serialize, Deserialize, Validate, ToSchema)]
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
///     fn read(kit: berth_kit_settings::Settings, sections: &mut Sections<'_>) -> Self {
///         Self { kit, orders: sections.take("orders") }
///     }
/// }
///
/// let mut sources = Sources::new(ServiceName::new("shop"), "1.0.0");
/// sources.environment.push(("SHOP__ORDERS__PAGE_SIZE".into(), "50".into()));
/// let (_, settings) = load_as::<Settings>(&sources)?;
/// assert_eq!(settings.orders.page_size, 50);
///
/// sources.environment[0].1 = "0".into();
/// let Err(error) = load_as::<Settings>(&sources) else { panic!("a fault") };
/// assert!(error.to_string().contains("orders.page_size = 0"));
/// # Ok::<(), berth_kit_settings::Error>(())
/// ```
pub trait ServiceSettings: Sized {
    /// Takes the sections of the service's own.
    fn read(kit: Settings, sections: &mut Sections<'_>) -> Self;
}

/// A service without a section of its own.
impl ServiceSettings for Settings {
    fn read(kit: Settings, _: &mut Sections<'_>) -> Self {
        kit
    }
}

/// Where a service takes its sections from.
pub struct Sections<'a>(pub(crate) &'a mut Reader);

impl Sections<'_> {
    /// The section `name`, which is none of Berth's. What is not set has its default; every key that is set to
    /// something wrong is a fault, and the default stands in for it.
    ///
    /// `T` is a struct with `#[serde(default, deny_unknown_fields)]`, whose every field is written out. In the
    /// environment, a list or table is written as JSON. Its comments, and those of its fields, are in the
    /// [`reference()`](crate::reference()).
    pub fn take<T>(&mut self, name: &str) -> T
    where
        T: Default + Serialize + DeserializeOwned + Validate<Context: Default> + ToSchema,
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
        if read::<T>(Vec::new()).is_err() {
            self.misuse(name, "the type of this section needs #[serde(default)]");
            return default;
        }
        self.0.describe(Described {
            section: name.to_owned(),
            document: Document::of::<T>,
        });
        let mut all = Vec::new();
        let mut set: Vec<Set> = Vec::new();
        for (key, default) in &keys {
            let full = format!("{name}.{key}");
            let Some((raw, origin)) = self.0.take_raw(&full) else {
                continue;
            };
            let fingerprint = fingerprint(&raw);
            // Alone, so that what is wrong is this key's.
            let (parsed, holds_secret) = secret::watch(|| parse::<T>(key, &raw));
            match parsed {
                Ok(value) => {
                    all.push((key.clone(), value));
                    set.push(Set {
                        key: key.clone(),
                        origin,
                        fingerprint,
                    });
                }
                Err(problem) => {
                    let caution = Caution::of(&full, default, &raw, holds_secret);
                    self.0.fault(Fault {
                        key: full,
                        value: raw.shown().filter(|_| caution == Caution::None),
                        origin,
                        problem: caution.told(problem, &raw),
                    });
                }
            }
        }
        let section = match read::<T>(all) {
            Ok(section) => section,
            Err(_) if set.is_empty() => default,
            Err(problem) => {
                // Each key is right, and all together are not.
                let may_hold_secret = keys.iter().any(|(_, default)| !is_plain(default));
                self.0.fault(Fault {
                    key: name.to_owned(),
                    value: None,
                    origin: set[0].origin.clone(),
                    problem: match problem {
                        Problem::Text(_) if may_hold_secret => NOT_SHOWN.to_owned(),
                        Problem::Type(text) | Problem::Text(text) => text,
                    },
                });
                default
            }
        };
        // From here on values are shown as the section has them, whose types mask what is secret.
        let shown = fields(&section).unwrap_or_default();
        let mut is_valid = true;
        if let Err(report) = section.validate() {
            is_valid = false;
            for (path, error) in report.iter() {
                let path = path.to_string();
                let key = path.split(['.', '[']).next().unwrap_or_default();
                let known = set.iter().find(|set| set.key == key);
                let value = shown.iter().find(|(field, _)| field == key);
                let full = format!("{name}.{path}");
                self.0.fault(Fault {
                    value: value
                        .map(|(_, value)| render(value))
                        .filter(|_| !is_secret(&full)),
                    key: full,
                    origin: known.map_or(Origin::Default, |set| set.origin.clone()),
                    problem: error.to_string(),
                });
            }
        }
        for (key, value) in shown {
            let known = set.iter().find(|set| set.key == key);
            self.0.record_own(
                format!("{name}.{key}").into(),
                render(&value),
                masked(&value),
                known.map_or(Origin::Default, |set| set.origin.clone()),
                known.map_or(0, |set| set.fingerprint),
            );
        }
        if is_valid { section } else { T::default() }
    }

    /// Refuses the value of `key`, as in `orders.page_size`, for what the values of `others` are: keys of any section that
    /// was taken, or of Berth's. The fault tells those values, and where each was set. Where one of them has a fault
    /// already there is nothing more to say.
    ///
    /// ```
    /// # use berth_kit_settings::{Sections, ServiceName, ServiceSettings, Sources, load_as};
    /// # use garde::Validate;
    /// # use serde::{Deserialize, Serialize};
    /// # use utoipa::ToSchema;
    /// # #[derive(Default, Serialize, Deserialize, Validate, ToSchema)]
    /// # #[serde(default, deny_unknown_fields)]
    /// # pub struct Uploads {
    /// #     #[garde(skip)]
    /// #     pub part_bytes: usize,
    /// # }
    /// # pub struct Settings {
    /// #     pub kit: berth_kit_settings::Settings,
    /// #     pub uploads: Uploads,
    /// # }
    /// impl ServiceSettings for Settings {
    ///     fn read(kit: berth_kit_settings::Settings, sections: &mut Sections<'_>) -> Self {
    ///         let uploads: Uploads = sections.take("uploads");
    ///         if uploads.part_bytes > kit.server.max_body_bytes {
    ///             sections.refuse(
    ///                 "uploads.part_bytes",
    ///                 &["server.max_body_bytes"],
    ///                 "must fit in a request",
    ///             );
    ///         }
    ///         Self { kit, uploads }
    ///     }
    /// }
    /// # let mut sources = Sources::new(ServiceName::new("shop"), "1.0.0");
    /// # sources.environment.push(("SHOP__UPLOADS__PART_BYTES".into(), "2000000".into()));
    /// # let Err(error) = load_as::<Settings>(&sources) else { panic!("a fault") };
    /// # assert!(error.to_string().ends_with(
    /// #     "uploads.part_bytes = 2000000 (environment variable SHOP__UPLOADS__PART_BYTES): must fit in a request; \
    /// #      server.max_body_bytes = 1048576 (built-in default)"
    /// # ));
    /// ```
    pub fn refuse(&mut self, key: &str, others: &[&str], problem: impl Into<String>) {
        let unknown = |key: &&str| self.0.entry(key).is_none();
        if let Some(key) = [key].iter().chain(others).copied().find(|key| unknown(key)) {
            self.misuse(key, "is no key of a section that has been taken");
            return;
        }
        self.0.refuse(key, others, problem.into());
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

/// A key that has been set to what it can be.
struct Set {
    key: String,
    origin: Origin,
    /// Of the value as it was set, for what is shown masked.
    fingerprint: u64,
}

/// What may be told of a faulty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caution {
    /// All.
    None,
    /// Not the value: it may be secret, since nothing tells its type.
    Value,
    /// Neither that nor what quotes it.
    Text,
}

impl Caution {
    fn of(key: &str, default: &Json, raw: &Raw, holds_secret: bool) -> Self {
        let is_json = raw.text().is_some_and(|text| text.starts_with(['[', '{']));
        if holds_secret || is_secret(key) || is_json || !(is_plain(default) || default.is_null()) {
            Self::Text
        } else if default.is_null() {
            Self::Value
        } else {
            Self::None
        }
    }

    fn told(self, problem: Problem, raw: &Raw) -> String {
        let quotes = |text: &str| {
            let raw = raw.text().unwrap_or_default();
            text.contains(raw) || text.contains(format!("{raw:?}").trim_matches('"'))
        };
        match problem {
            Problem::Type(text) => text,
            Problem::Text(text) if text.ends_with(SAFE) => text,
            Problem::Text(text) => match self {
                Self::None => text,
                Self::Value if !quotes(&text) => text,
                Self::Value | Self::Text => NOT_SHOWN.to_owned(),
            },
        }
    }
}

/// Whether a default tells that its key holds no secret.
fn is_plain(default: &Json) -> bool {
    match default {
        Json::Bool(_) | Json::Number(_) => true,
        Json::String(text) => !text.contains(MASK),
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}

fn fingerprint(raw: &Raw) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{raw:?}").hash(&mut hasher);
    hasher.finish()
}

/// The fields of a section by name, in their order.
fn fields(section: &impl Serialize) -> Option<Vec<(String, Json)>> {
    match serde_json::to_value(section) {
        Ok(Json::Object(fields)) => Some(fields.into_iter().collect()),
        _ => None,
    }
}

/// The value of `key`, which the section takes as it is. In the environment everything is text; what can be none
/// is read as JSON.
fn parse<T: DeserializeOwned>(key: &str, raw: &Raw) -> Result<Value, Problem> {
    if let Raw::Text(text) = raw
        && text.to_str().is_none()
    {
        return Err(Problem::Type("must be UTF-8".to_owned()));
    }
    let alone = |value: Value| read::<T>([(key.to_owned(), value.clone())].into()).map(|_| value);
    let as_it_is = alone(Value(raw.clone()));
    match raw {
        Raw::Text(text) if as_it_is.is_err() => {
            let text = text.to_str().filter(|text| text.starts_with(['[', '{']));
            match text.map(serde_json::from_str::<config::Value>) {
                Some(Ok(value)) => alone(value.into()),
                Some(Err(error)) => Err(Problem::Type(format!("is no valid JSON: {error}"))),
                None => as_it_is,
            }
        }
        _ => as_it_is,
    }
}

fn read<T: DeserializeOwned>(fields: Vec<(String, Value)>) -> Result<T, Problem> {
    let fields = MapDeserializer::new(fields.into_iter());
    // What reads a value may be anybody's code, and a reload must not end the process.
    catch_unwind(AssertUnwindSafe(|| T::deserialize(fields)))
        .unwrap_or_else(|_panic| Err(Problem::Type("cannot be read: its type panics".to_owned())))
}

/// As it would be written in TOML, or in JSON where it is a list or a table.
fn render(value: &Json) -> String {
    match value {
        Json::Null => UNSET.to_owned(),
        Json::String(text) if text == MASK => text.clone(),
        Json::String(text) => quote(text, usize::MAX),
        other => masked(other).to_string(),
    }
}

/// Without what the names in it say is a secret.
fn masked(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| {
                let value = if is_secret(name) {
                    MASK.into()
                } else {
                    masked(value)
                };
                (name.clone(), value)
            };
            Json::Object(members.iter().map(member).collect())
        }
        Json::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
