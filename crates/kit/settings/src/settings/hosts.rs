//! `management.allowed_hosts`: a list of host names.

use config::{Value, ValueKind};
use serde_json::Value as Json;

use super::lists::list;
use crate::entry::Render;
use crate::reading::layers::Raw;
use crate::reading::parse;
use crate::reading::shown::quote;

/// More than there are names of one machine.
const MAX_HOSTS: usize = 64;

const ALLOWED: &str = "must be a list of host names without ports, such as [\"metrics.example.com\", \
                       \".prod.example.com\"]";

/// A list of host names, in lower case. A dot before one stands for any names before it: not `*.`, which YAML has for
/// something else. In a variable it is written as TOML would have it inline.
pub(crate) fn hosts(raw: &Raw) -> Result<Vec<String>, String> {
    let items = list(raw, ALLOWED, MAX_HOSTS, "names")?;
    items.iter().map(host).collect()
}

fn host(item: &Value) -> Result<String, String> {
    let ValueKind::String(text) = &item.kind else {
        return Err(ALLOWED.to_owned());
    };
    let name = text.strip_prefix('.').unwrap_or(text);
    if parse::host(&Raw::Text(name.into())).is_err() {
        // A URL may be in the wrong place, and its password with it.
        return Err(if text.contains("://") {
            ALLOWED.to_owned()
        } else {
            format!("{ALLOWED}; {} is none", quote(text, 80))
        });
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    Ok(text.to_ascii_lowercase())
}

/// TOML has it inline.
impl Render for Vec<String> {
    fn render(&self) -> String {
        let hosts: Vec<_> = self.iter().map(Render::render).collect();
        format!("[{}]", hosts.join(", "))
    }

    fn json(&self) -> Json {
        self.iter().map(String::as_str).collect()
    }
}
