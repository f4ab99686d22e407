//! Takes the settings one key at a time and keeps account of them.

use std::borrow::Cow;
use std::fmt::Write as _;

use config::ValueKind;

use super::described::Described;
use super::fault::{Fault, Faults, Origin};
use super::layers::{Layer, Leaf, Raw};
use super::meant::nearest;
use super::shown::{cut, is_secret, quote};
use crate::entry::{Entry, Render};
use crate::secret::MASK;
use crate::service_name::ServiceName;

/// Hands out typed values by key; collects the faults instead of stopping at one.
pub(crate) struct Reader {
    service: ServiceName,
    defaults: Layer,
    /// What was set over the defaults and not taken yet.
    set: Layer,
    entries: Vec<Entry>,
    described: Vec<Described>,
    faults: Vec<Fault>,
}

impl Reader {
    pub(crate) fn new(service: ServiceName, defaults: Layer, set: Layer) -> Self {
        Self {
            service,
            defaults,
            set,
            entries: Vec::new(),
            described: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The value of `key`: as set, else its default, which also stands in for a faulty one.
    pub(crate) fn take<T: Render>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, String>,
    ) -> T {
        let (value, origin) = self.take_set(key, &parse).unwrap_or_else(|| {
            let leaf = self
                .defaults
                .get(key)
                .expect("every mandatory key has a default: tested");
            (
                parse(&leaf.raw).expect("every default is valid: tested"),
                Origin::Default,
            )
        });
        self.record(key, &value, origin);
        value
    }

    /// The value of `key`, which has no default.
    pub(crate) fn take_optional<T: Render>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.take_set(key, parse).unzip();
        self.record(key, &value, origin.unwrap_or(Origin::Default));
        value
    }

    fn take_set<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, String>,
    ) -> Option<(T, Origin)> {
        let Leaf { raw, origin } = self.set.remove(key)?;
        match parse(&raw) {
            Ok(value) => Some((value, origin)),
            Err(problem) => {
                let value = (!is_secret(key)).then(|| raw.shown()).flatten();
                self.fault(Fault {
                    key: key.to_owned(),
                    value,
                    origin,
                    problem,
                });
                None
            }
        }
    }

    /// The value of `key` as it was set, for a parser that does not fit [`take`](Self::take).
    pub(crate) fn take_raw(&mut self, key: &str) -> Option<(Raw, Origin)> {
        self.set
            .remove(key)
            .map(|Leaf { raw, origin }| (raw, origin))
    }

    pub(crate) fn record(&mut self, key: &'static str, value: &impl Render, origin: Origin) {
        self.record_own(key.into(), value.render(), value.json(), origin, 0);
    }

    /// As [`record`](Self::record), for a key of the service's own, whose value is shown as its section has it.
    pub(crate) fn record_own(
        &mut self,
        key: Cow<'static, str>,
        value: String,
        json: serde_json::Value,
        origin: Origin,
        fingerprint: u64,
    ) {
        let (value, json) = if is_secret(&key) {
            (MASK.to_owned(), MASK.into())
        } else {
            (value, json)
        };
        self.entries.push(Entry {
            key,
            value,
            json,
            origin,
            fingerprint,
        });
    }

    /// Adds a fault that no single key's parser finds.
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Keeps what a section of the service's own tells of itself.
    pub(crate) fn describe(&mut self, section: Described) {
        self.described.push(section);
    }

    /// The sections of the service's own that were taken, in their order.
    pub(crate) fn described(&self) -> &[Described] {
        &self.described
    }

    /// The keys that were taken, in their order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a key of this section was taken.
    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.entries.iter().any(|entry| is_in(&entry.key, section))
    }

    /// The entry of `key`, if it was taken.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The same, if it was taken without a fault: of its own, in it, or of its whole section.
    pub(crate) fn sound(&self, key: &str) -> Option<&Entry> {
        let is_of_it = |fault: &Fault| {
            let in_it = fault.key.strip_prefix(key);
            is_in(key, &fault.key)
                || in_it.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.entry(key)
            .filter(|_| !self.faults.iter().any(is_of_it))
    }

    /// Refuses the value of `key` for what those of `others` are. A value that stands in for a faulty one contradicts
    /// nothing.
    pub(crate) fn refuse(&mut self, key: &str, others: &[&str], mut problem: String) {
        let Some(entry) = self.sound(key) else {
            return;
        };
        for other in others {
            let Some(Entry {
                key, value, origin, ..
            }) = self.sound(other)
            else {
                return;
            };
            // Writing to a String cannot fail.
            let _ = write!(problem, "; {key} = {value} ({origin})");
        }
        let fault = Fault {
            key: entry.key.to_string(),
            value: Some(entry.value.clone()),
            origin: entry.origin.clone(),
            problem,
        };
        self.fault(fault);
    }

    /// The taken entries, unless there was a fault or something is left that nobody took.
    pub(crate) fn finish(mut self) -> Result<Vec<Entry>, Faults> {
        let known: Vec<&str> = self.entries.iter().map(|entry| &*entry.key).collect();
        let left = self
            .set
            .into_iter()
            .filter_map(|(key, leaf)| leftover(self.service, key, leaf, &known));
        self.faults.extend(left);
        Faults::new(self.faults).map_or(Ok(self.entries), Err)
    }
}

/// The fault of a key that nobody took.
fn leftover(
    service: ServiceName,
    key: String,
    Leaf { raw, origin }: Leaf,
    known: &[&str],
) -> Option<Fault> {
    let section = known.iter().find(|known| is_in(known, &key));
    let problem = if let Some(example) = section {
        match raw {
            // `server:` with all its keys commented out.
            Raw::Typed(ValueKind::Nil | ValueKind::Table(_)) => return None,
            _ => format!("is a section, not a key: set the keys in it, such as `{example}`"),
        }
    } else {
        match (nearest(&key, known), &origin) {
            (None, _) => "unknown key".to_owned(),
            (Some(near), Origin::Env(_)) => {
                let name = service.variable(near);
                format!("unknown key; did you mean `{near}` ({name})?")
            }
            (Some(near), _) => format!("unknown key; did you mean `{near}`?"),
        }
    };
    Some(Fault {
        key: cut(key),
        value: None,
        origin,
        problem,
    })
}

fn is_in(key: &str, section: &str) -> bool {
    key.split_once('.')
        .is_some_and(|(before, _)| before == section)
}

/// In quotes, and not whole. A URL may be in the wrong place, and its password with it.
fn shown(text: &str) -> String {
    const LIMIT: usize = 80;
    match text.split_once("://") {
        Some((scheme, _)) => quote(&format!("{scheme}://…"), LIMIT),
        None => quote(text, LIMIT),
    }
}

impl Raw {
    /// A faulty value for a person to recognise; `None` where a table or list stands in its place,
    /// which `problem` says.
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(shown(&text.to_string_lossy())),
            Self::Typed(ValueKind::String(text)) => Some(shown(text)),
            Self::Typed(ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil) => None,
            // With its point, which is what is wrong with it.
            Self::Typed(ValueKind::Float(number)) => Some(format!("{number:?}")),
            Self::Typed(scalar) => Some(scalar.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: ServiceName = ServiceName::new("shop");

    fn set(key: &str, raw: &str) -> Layer {
        let origin = Origin::Env("X".to_owned());
        Layer::from([(
            key.to_owned(),
            Leaf {
                raw: Raw::Text(raw.into()),
                origin,
            },
        )])
    }

    #[test]
    fn secrets_are_masked_in_entries_and_faults() {
        let mut reader = Reader::new(SHOP, Layer::new(), set("db.password", "hunter2"));
        reader.take_optional("db.password", |_| Ok("hunter2".to_owned()));
        let entries = reader.finish().unwrap();
        assert_eq!(entries[0].value, "********");

        let mut reader = Reader::new(SHOP, Layer::new(), set("db.api-key", "hunter2"));
        reader.take_optional("db.api-key", |_| {
            Err::<String, _>("must be long".to_owned())
        });
        let faults = reader.finish().unwrap_err();
        assert_eq!(
            faults[0].to_string(),
            "db.api-key (environment variable X): must be long"
        );
    }
}
