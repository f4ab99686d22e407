//! The reference of all settings as Markdown, from what the program knows of them: `defaults.toml`, and the types
//! of the service's own sections.

use std::fmt::Write as _;

use crate::entry::{Entry, UNSET};
use crate::load::{Sources, load};
use crate::reading::described::Described;
use crate::reading::layers::{self, DEFAULTS, Layer, PLAIN};
use crate::reading::reader::Reader;
use crate::reload::LIVE;
use crate::section::{Sections, ServiceSettings};
use crate::service_name::ServiceName;
use crate::settings::Settings;

/// The reference does not tell it: each build has its own.
const ANY_VERSION: &str = "0.0.0";

/// The reference of the settings of a service, with its own sections, as a Markdown document.
///
/// A service has a test that compares `docs/settings.md` with it.
#[must_use]
pub fn reference<S: ServiceSettings>(service: ServiceName) -> String {
    let mut text = introduction(service);
    let mut section = "";
    for key in kit_keys() {
        if key.section != section {
            section = key.section;
            heading(&mut text, section, "");
        }
        let full = format!("{section}.{}", key.name);
        let default = match &*full {
            "app.name" => Some(format!("\"{service}\"")),
            _ => key.default.map(str::to_owned),
        };
        write_key(&mut text, service, &full, default.as_deref(), &key.about);
    }
    let mut reader = Reader::new(
        service,
        layers::defaults(service, ANY_VERSION),
        Layer::new(),
    );
    let settings = Settings::read(&mut reader);
    S::read(settings, &mut Sections(&mut reader));
    for Described { section, document } in reader.described() {
        let document = document();
        heading(&mut text, section, document.about());
        let is_its = |entry: &&Entry| {
            let (first, _) = entry.key.split_once('.').unwrap_or_default();
            first == section
        };
        for entry in reader.entries().iter().filter(is_its) {
            let name = entry.key.strip_prefix(section).unwrap_or_default();
            let about = document.about_key(name.trim_start_matches('.'));
            let default = Some(&*entry.value).filter(|value| *value != UNSET);
            write_key(&mut text, service, &entry.key, default, &about);
        }
    }
    text
}

fn introduction(service: ServiceName) -> String {
    let prefix = service.prefix();
    let file = service.config_variable();
    let port = service.variable("server.port");
    let near = port.replacen("__", "_", 1);
    // As the program says it.
    let mistakes = [
        ("PORT".to_owned(), "99999"),
        (service.variable("server.backlog"), "many"),
        (service.variable("log.formats"), "json"),
    ];
    let command: Vec<_> = mistakes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let command = command.join(" ");
    let mut sources = Sources::new(service, ANY_VERSION);
    sources
        .environment
        .extend(mistakes.map(|(name, value)| (name.into(), value.into())));
    let faults = load(&sources)
        .err()
        .map(|faults| faults.to_string())
        .unwrap_or_default();
    format!(
        "\
<!-- Written by `just settings-reference`, from crates/kit/settings/defaults.toml and crates/config. -->

# Settings

Every key of `{service}`. Later wins:

1. the defaults, which are built in;
2. the file that `--config FILE` or the variable `{file}` names, TOML or YAML;
3. environment variables `{prefix}SECTION__KEY`: `server.port` is `{port}`;
4. the plain variables `PORT`, `ENVIRONMENT`, `APP_NAME` and `VERSION`.

A variable that is empty counts as unset, whatever the key: text that is to be empty is set in the file.

There are two underscores because Kubernetes sets variables such as `PORT=tcp://…` with one, after the name of each
Service. A variable that nearly names a key, such as `{near}` or one in lower case, is ignored, with a
warning at the start and in `check`.

In the environment, a list or a table is written as in a TOML file, on one line; in a section of the service's own, as
JSON. Durations have a unit: `250ms`, `5s`, `1m 30s`, `2h`.

[`defaults.toml`](../crates/kit/settings/defaults.toml) is the file to copy: keep the lines you change. Unknown keys
are refused, and all faults are told at once:

```console
$ {command} {service} check
{faults}
```

Without faults, `{service} check` prints every setting, its value and where it came from. A key that takes effect without a
restart says so; see `SIGHUP` in `{service} --help`.
"
    )
}

fn heading(text: &mut String, section: &str, about: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## `{section}`\n");
    if !about.is_empty() {
        let _ = write!(text, "\n{about}\n");
    }
}

fn write_key(
    text: &mut String,
    service: ServiceName,
    key: &str,
    default: Option<&str>,
    about: &str,
) {
    let default = default.map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
    let variable = service.variable(key);
    let _ = write!(text, "\n### `{key}`\n\n");
    if !about.is_empty() {
        let _ = write!(text, "{about}\n\n");
    }
    let _ = write!(text, "Default: {default}. Variable: `{variable}`");
    if let Some((plain, _)) = PLAIN.iter().find(|(_, plain)| *plain == key) {
        let _ = write!(text, ", or `{plain}`");
    }
    let live = if LIVE.contains(&key) {
        " Takes effect without a restart."
    } else {
        ""
    };
    let _ = writeln!(text, ".{live}");
}

/// A key in `defaults.toml`.
struct KitKey {
    section: &'static str,
    name: &'static str,
    /// `None` where it is commented out.
    default: Option<&'static str>,
    /// The comment above it, as Markdown.
    about: String,
}

/// The keys in `defaults.toml`, whose form a test holds to.
fn kit_keys() -> Vec<KitKey> {
    let mut keys = Vec::new();
    let mut section = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in DEFAULTS.lines() {
        let said = line
            .strip_prefix('#')
            .map(|said| said.strip_prefix(' ').unwrap_or(said));
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((name, value)) = said.unwrap_or(line).split_once(" = ")
            && !name.starts_with(' ')
        {
            keys.push(KitKey {
                section,
                name,
                default: Some(value).filter(|_| said.is_none()),
                about: markdown(&comment),
            });
        } else if let Some(said) = said {
            comment.push(said);
            continue;
        }
        comment.clear();
    }
    keys
}

/// The lines of a comment. What is indented is an example of TOML; the plain variable is told elsewhere.
fn markdown(comment: &[&str]) -> String {
    let mut text = String::new();
    let mut is_code = false;
    for line in comment {
        if line.starts_with("  ") != is_code && !line.is_empty() {
            is_code = !is_code;
            text += if is_code { "```toml\n" } else { "```\n\n" };
        }
        text += if is_code {
            line.strip_prefix("  ").unwrap_or(line)
        } else {
            line
        };
        text.push('\n');
    }
    let mut text = text.replace("\n\n```\n", "\n```\n");
    for (plain, _) in PLAIN {
        text = text.replace(&format!("Also: {plain}."), "");
    }
    text.trim_end().replace(" \n", "\n")
}
