//! A setting in force, as it is shown.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value as Json;

use crate::reading::{
    fault::Origin,
    shown::quote,
    values::{LogFormat, MaxInFlight, Workers},
};

/// What is shown where a key has no value.
pub(crate) const UNSET: &str = "(unset)";

/// An effective setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, as in `server.port`.
    pub key: Cow<'static, str>,
    /// The value as it would be written in TOML: `8080`, `"5s"`; `(unset)` where there is none,
    /// `********` where the key's name says that it is a secret.
    pub value: String,
    /// The same as JSON has it: a number, text, a list, an object; `null` where there is none. A duration is text.
    pub json: Json,
    /// Where it was set.
    pub origin: Origin,
    /// Of the value as it was set, where what is shown of it may be masked.
    pub(crate) fingerprint: u64,
}

/// A typed value as it is shown.
pub(crate) trait Render {
    /// As it would be written in TOML.
    fn render(&self) -> String;

    /// As it would be written in JSON.
    fn json(&self) -> Json;
}

impl Render for String {
    fn render(&self) -> String {
        quote(self, usize::MAX)
    }

    fn json(&self) -> Json {
        self.as_str().into()
    }
}

impl Render for Duration {
    fn render(&self) -> String {
        format!("\"{}\"", humantime::format_duration(*self))
    }

    fn json(&self) -> Json {
        humantime::format_duration(*self).to_string().into()
    }
}

impl Render for LogFormat {
    fn render(&self) -> String {
        format!("\"{self}\"")
    }

    fn json(&self) -> Json {
        self.to_string().into()
    }
}

macro_rules! render_auto_or_number {
    ($($type:ty),*) => {$(
        impl Render for $type {
            fn render(&self) -> String {
                match self {
                    Self::Auto => "\"auto\"".to_owned(),
                    Self::Fixed(number) => number.to_string(),
                }
            }

            fn json(&self) -> Json {
                match self {
                    Self::Auto => "auto".into(),
                    Self::Fixed(number) => number.get().into(),
                }
            }
        }
    )*};
}
render_auto_or_number!(Workers, MaxInFlight);

macro_rules! render_bare {
    ($($type:ty),*) => {$(
        impl Render for $type {
            fn render(&self) -> String {
                self.to_string()
            }

            fn json(&self) -> Json {
                (*self).into()
            }
        }
    )*};
}
render_bare!(bool, u16, u32, u64, usize);

/// Where there is none, that is shown.
impl<T: Render> Render for Option<T> {
    fn render(&self) -> String {
        self.as_ref()
            .map_or_else(|| UNSET.to_owned(), Render::render)
    }

    fn json(&self) -> Json {
        self.as_ref().map_or(Json::Null, Render::json)
    }
}
