//! What can be wrong with settings, and how it is said.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::shown::escape;
use crate::ignored::IgnoredVariable;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built into the program.
    Default,
    /// The settings file at this path.
    File(PathBuf),
    /// The environment variable of this name.
    Env(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File(path) => write!(f, "file {}", shown_path(path)),
            Self::Env(name) => write!(f, "environment variable {}", escape(name, 256)),
        }
    }
}

/// One thing that is wrong, displayed on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as in `server.port`; empty where the fault is the file's as a whole.
    pub key: String,
    /// The value as it would be written in TOML, escaped and cut. `None` where there is none to
    /// show, or where it might be a secret: an unknown key, or a name such as `api_token`.
    pub value: Option<String>,
    /// Where the value was set.
    pub origin: Origin,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            origin,
            problem,
        } = self;
        match value {
            Some(value) => write!(f, "{key} = {value} ({origin}): {problem}"),
            None if key.is_empty() => write!(f, "{origin}: {problem}"),
            None => write!(f, "{key} ({origin}): {problem}"),
        }
    }
}

/// At least one [`Fault`], in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    faults: Vec<Fault>,
    ignored: Vec<IgnoredVariable>,
}

impl Faults {
    /// `None` where there is no fault.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by(|a, b| a.key.cmp(&b.key));
        let ignored = Vec::new();
        (!faults.is_empty()).then_some(Self { faults, ignored })
    }

    pub(crate) fn of(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            ignored: Vec::new(),
        }
    }

    /// With the variables that are ignored: one of them may be meant to set right what is wrong.
    pub(crate) fn beside(self, ignored: Vec<IgnoredVariable>) -> Self {
        Self { ignored, ..self }
    }

    /// Variables that look like settings of the service and are none.
    #[must_use]
    pub fn ignored(&self) -> &[IgnoredVariable] {
        &self.ignored
    }
}

impl Deref for Faults {
    type Target = [Fault];

    fn deref(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.len() == 1 { "" } else { "s" };
        write!(f, "{} fault{plural} in the settings:", self.len())?;
        self.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        let mut ignored = self.ignored.iter();
        ignored.try_for_each(|variable| write!(f, "\n  {variable}"))
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read at all, so nothing in it was looked at.
    #[error(
        "cannot use the settings file {}: {problem}{}",
        shown_path(path),
        advice(problem, variable)
    )]
    File {
        /// The file, as `--config` or `variable` named it.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
        /// The environment variable that can name the file, such as `SHOP_CONFIG`.
        variable: String,
    },
    /// The settings were read and do not hold.
    #[error("{0}")]
    Invalid(Faults),
}

/// Why a settings file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The name does not tell the format.
    #[error("its name must end in .toml, .yaml or .yml")]
    Extension,
    /// The system refuses to read it: it is missing, say, or not ours to read.
    #[error("{0}")]
    Io(io::Error),
    /// It is not a file.
    #[error("it is a directory; name the file in it")]
    Directory,
    /// It is a pipe, a socket or a device: reading it may never end.
    #[error("it is a pipe, a socket or a device; name a regular file")]
    NotRegular,
    /// It is larger than 1 MiB.
    #[error("it is larger than 1 MiB, which no settings file needs to be")]
    TooLarge,
    /// It is not text.
    #[error("it is not UTF-8 text; save it as UTF-8")]
    NotUtf8,
}

fn advice(problem: &FileProblem, variable: &str) -> String {
    match problem {
        FileProblem::Io(_) => {
            format!("; check the path (--config or {variable}) and who may read it")
        }
        _ => String::new(),
    }
}

fn shown_path(path: &Path) -> String {
    escape(&path.to_string_lossy(), 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        let forged = Origin::Env("SHOP__A\nB".to_owned());
        assert_eq!(forged.to_string(), "environment variable SHOP__A\\nB");
    }

    #[test]
    fn a_fault_is_one_line() {
        let mut fault = Fault {
            key: "server.port".to_owned(),
            value: Some("99999".to_owned()),
            origin: Origin::File("/etc/shop.toml".into()),
            problem: "no".to_owned(),
        };
        assert_eq!(
            fault.to_string(),
            "server.port = 99999 (file /etc/shop.toml): no"
        );
        fault.value = None;
        fault.origin = Origin::Default;
        assert_eq!(fault.to_string(), "server.port (built-in default): no");
        fault.key.clear();
        assert_eq!(fault.to_string(), "built-in default: no");
    }
}
