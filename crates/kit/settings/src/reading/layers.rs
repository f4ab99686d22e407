//! Files and the environment, flattened into leaves: `section.key` and its raw value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use config::{ConfigError, File, FileFormat, Source as _, ValueKind};

use super::fault::{Error, Fault, Origin};
use super::file;
use super::shown::{escape, quote};
use crate::service_name::ServiceName;

/// The built-in defaults, which are also the example file and the reference.
pub(crate) const DEFAULTS: &str = include_str!("../../defaults.toml");

/// Plain variables that every platform knows, and the keys they set.
pub(crate) const PLAIN: [(&str, &str); 4] = [
    ("PORT", "server.port"),
    ("ENVIRONMENT", "app.environment"),
    ("APP_NAME", "app.name"),
    ("VERSION", "app.version"),
];

/// Far more than any settings need, far less than what overflows a 2 MiB stack.
const MAX_YAML_INDENT: usize = 64;

/// A value before it is parsed.
#[derive(Debug, Clone)]
pub(crate) enum Raw {
    /// From a file, which tells numbers from text.
    Typed(ValueKind),
    /// From the environment, where everything is text, or should be.
    Text(OsString),
}

/// A value and where it was set.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// Leaves by key. A later layer is laid over an earlier one with `extend`.
pub(crate) type Layer = BTreeMap<String, Leaf>;

/// The built-in defaults, with those that the program knows.
pub(crate) fn defaults(service: ServiceName, version: &str) -> Layer {
    let mut layer = parse(DEFAULTS, FileFormat::Toml, &Origin::Default)
        .expect("the built-in defaults are TOML: they are tested");
    for (key, text) in [("app.name", service.as_str()), ("app.version", version)] {
        let leaf = Leaf {
            raw: Raw::Text(text.into()),
            origin: Origin::Default,
        };
        layer.insert(key.to_owned(), leaf);
    }
    layer
}

/// The file's leaves, or its one fault where it is not well-formed.
pub(crate) fn file(service: ServiceName, path: &Path) -> Result<Result<Layer, Fault>, Error> {
    let (text, format) = file::read(path).map_err(|problem| Error::File {
        path: path.to_owned(),
        problem,
        variable: service.config_variable(),
    })?;
    let origin = Origin::File(path.to_owned());
    Ok(parse(&text, format, &origin).map_err(|problem| Fault {
        key: String::new(),
        value: None,
        origin,
        problem,
    }))
}

/// The leaves of the environment; the plain variables win. An empty variable is as good as none: what starts a process
/// often cannot leave one out. Text that is to be empty is set in the file.
pub(crate) fn environment(service: ServiceName, variables: &[(OsString, OsString)]) -> Layer {
    let prefix = service.prefix();
    let mut layer = Layer::new();
    let mut plain = Layer::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let name = name.to_string_lossy();
        let leaf = || Leaf {
            raw: Raw::Text(value.clone()),
            origin: Origin::Env(name.clone().into_owned()),
        };
        if let Some(rest) = name.strip_prefix(&prefix) {
            let key: Vec<_> = rest.split("__").map(variable_component).collect();
            layer.insert(key.join("."), leaf());
        } else if let Some((_, key)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            plain.insert((*key).to_owned(), leaf());
        }
    }
    layer.extend(plain);
    layer
}

fn parse(text: &str, format: FileFormat, origin: &Origin) -> Result<Layer, String> {
    // The TOML parser bounds its own depth.
    if format == FileFormat::Yaml {
        refuse_yaml_hazards(text)?;
    }
    let root = match File::from_str(text, format).collect() {
        Ok(root) => root,
        Err(error) => return malformed(&error).map_or(Ok(Layer::new()), Err),
    };
    let mut layer = Layer::new();
    let mut insert = |key: String, kind| {
        layer.insert(
            key,
            Leaf {
                raw: Raw::Typed(kind),
                origin: origin.clone(),
            },
        );
    };
    for (section, value) in root {
        let section = component(&section);
        match value.kind {
            ValueKind::Table(keys) if !keys.is_empty() => {
                for (name, value) in keys {
                    insert(format!("{section}.{}", component(&name)), value.kind);
                }
            }
            kind => insert(section, kind),
        }
    }
    Ok(layer)
}

/// A parser's complaint on one line, without the text it complains of, which may hold a secret.
/// `None` where there is nothing wrong.
fn malformed(error: &ConfigError) -> Option<String> {
    let ConfigError::FileParse { cause, .. } = error else {
        return Some(format!(
            "cannot be parsed: {}",
            escape(&error.to_string(), 200)
        ));
    };
    let text = cause.to_string();
    let complaint = if cause.is::<ConfigError>() || cause.is::<Box<ConfigError>>() {
        // `---` and nothing but comments after it.
        if text.starts_with("invalid type: unit value") {
            return None;
        }
        "the file must hold sections, such as `server:` with `port: 8080` under it".to_owned()
    } else if text.starts_with("Cannot parse ") {
        "a key must be plain text".to_owned()
    } else if let Some((_, place)) = text.rsplit_once(": duplicated key") {
        format!("duplicate key{place}")
    } else if let Some((place, rest)) = text
        .strip_prefix("TOML parse error at ")
        .and_then(|text| text.split_once('\n'))
    {
        // Between the two stands a picture of the line.
        format!("{place}: {}", rest.lines().last().unwrap_or_default())
    } else {
        text
    };
    Some(format!("cannot be parsed: {}", escape(&complaint, 200)))
}

/// Refuses what the YAML parser would take too far: it recurses once for each level, and copies
/// an anchor's whole tree for each anchor around it and each alias of it.
fn refuse_yaml_hazards(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("holds a NUL character, at which YAML would end".to_owned());
    }
    for (index, row) in text.split('\n').enumerate() {
        for line in row.split('\r') {
            // A block's column is at most where its line's indentation and indicators end, and
            // nested blocks have growing columns; flow levels the parser itself bounds.
            let content = line.trim_start_matches([' ', '\t', '-', '?', ':']);
            if line.len() - content.len() > MAX_YAML_INDENT && !line.trim().is_empty() {
                return Err(format!("line {}: is nested too deeply", index + 1));
            }
            if has_anchor(before_comment(line)) {
                return Err(format!(
                    "line {}: anchors (`&name`) and aliases (`*name`) are not supported; \
                     write the value out, or use TOML if `&` or `*` belongs to it",
                    index + 1
                ));
            }
        }
    }
    Ok(())
}

/// The line up to its comment. A `#` after which no quote stands is a comment or lies in text
/// that does not end on this line: after it there is no syntax either way.
fn before_comment(line: &str) -> &str {
    let after_quotes = line.rfind(['"', '\'']).map_or(0, |at| at + 1);
    let comment = line
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|&at| at >= after_quotes && (at == 0 || line[..at].ends_with([' ', '\t'])));
    &line[..comment.unwrap_or(line.len())]
}

/// Whether an anchor or alias may begin in `line`. Errs on the side of yes: it does not know
/// quotes. After a letter or digit it would be part of the same word.
fn has_anchor(line: &str) -> bool {
    line.match_indices(['&', '*']).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
            && line[at + 1..]
                .starts_with(|c| !matches!(c, ' ' | '\t' | ',' | '[' | ']' | '{' | '}'))
    })
}

/// A part of a key as TOML writes it: in quotes where it is not a bare word, so that the key
/// `"server.port"` is not taken for `port` in `server`. Never cut: what two names share of their
/// beginning must not make one key of them, since one of the faults would be lost.
pub(crate) fn component(name: &str) -> String {
    if is_bare(name) {
        name.to_owned()
    } else {
        quote(name, usize::MAX)
    }
}

/// A part of a variable's name as part of a key. Only upper case is matched; what cannot match is
/// left in its own case, or it might be taken for another name.
fn variable_component(name: &str) -> String {
    if is_bare(name) && !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        name.to_ascii_lowercase()
    } else {
        quote(name, usize::MAX)
    }
}

fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests;
