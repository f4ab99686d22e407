//! What holds whatever the settings are read from. The fuzz targets ask the same of inputs of their
//! own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use berth_kit_settings::{Error, Fault, FileProblem, Loaded, Origin, ServiceName, Sources, load};
use tempfile::TempDir;

/// Whose settings are read.
pub(crate) const BERTH: ServiceName = ServiceName::new("berth");
/// What was built.
pub(crate) const VERSION: &str = "7.8.9";

/// The keys there are, in their order.
pub(crate) const KEYS: [&str; 31] = [
    "app.name",
    "app.version",
    "app.environment",
    "server.host",
    "server.port",
    "server.workers",
    "server.keep_alive",
    "server.request_timeout",
    "server.client_header_timeout",
    "server.upgrade_idle_timeout",
    "server.max_body_bytes",
    "server.max_connections",
    "server.max_in_flight",
    "server.memory_budget",
    "server.backlog",
    "server.trusted_proxies",
    "server.proxy_protocol",
    "shutdown.drain_delay",
    "shutdown.timeout",
    "shutdown.grace_period",
    "readiness.checks",
    "log.filter",
    "log.format",
    "log.access",
    "log.probes",
    "metrics.enabled",
    "metrics.path",
    "management.host",
    "management.port",
    "management.allowed_hosts",
    "debug.routes",
];

/// What is checked against other keys, and so may be a fault with them and none without.
pub(crate) const CROSS_CHECKED: [&str; 3] = [
    "shutdown.grace_period",
    "management.port",
    "server.proxy_protocol",
];

/// The variable of `key`.
pub(crate) fn variable(key: &str) -> String {
    BERTH.variable(key)
}

/// Where the files are that settings are read from.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is a place for a file"))
    }

    /// Loads a file of this name and content, if there is one, and an environment.
    pub(crate) fn load(
        &self,
        file: Option<(&str, &[u8])>,
        environment: &[(OsString, OsString)],
    ) -> Result<Loaded, Error> {
        let file = file.map(|(name, content)| {
            let path = self.0.path().join(name);
            fs::write(&path, content).expect("a file can be written");
            path
        });
        load(&Sources {
            service: BERTH,
            version: VERSION,
            file,
            environment: environment.to_vec(),
        })
    }

    /// Whatever the file holds, it gives settings or every fault of it.
    pub(crate) fn file(&self, name: &str, content: &[u8]) {
        let alone = self.load(Some((name, content)), &[]);
        self.well_said(&alone);
        if let Err(Error::File { problem, .. }) = &alone {
            match problem {
                FileProblem::NotUtf8 => assert!(str::from_utf8(content).is_err()),
                FileProblem::TooLarge => assert!(content.len() > 1 << 20),
                other => panic!("{other}"),
            }
            return;
        }
        // A fault elsewhere takes nothing away from those of the file, and the other way round.
        let broken = "server.backlog";
        let environment = [(variable(broken).into(), "x".into())];
        let more = faults(&self.load(Some((name, content)), &environment));
        let of_variable = |fault: &&Fault| matches!(fault.origin, Origin::Env(_));
        assert_eq!(more.iter().filter(of_variable).count(), 1, "{more:?}");
        let rest: Vec<_> = more.iter().filter(|fault| !of_variable(fault)).collect();
        let faults = faults(&alone);
        let expected: Vec<_> = faults.iter().filter(|fault| fault.key != broken).collect();
        assert_eq!(rest, expected);
    }

    /// Whatever is in the environment, it gives settings or every fault of it: those that each
    /// variable has alone.
    pub(crate) fn environment(&self, variables: &[(OsString, OsString)]) {
        let together = self.load(None, variables);
        self.well_said(&together);
        let keys = |result: &Result<Loaded, Error>| -> BTreeSet<(String, String)> {
            let faults = faults(result);
            let keys = faults.iter().map(|fault| {
                // Two names that are not UTF-8 may look alike.
                (fault.key.clone(), fault.origin.to_string())
            });
            keys.collect()
        };
        let mut alone = BTreeSet::new();
        for variable in variables {
            if !is_covered(variable, variables) {
                alone.extend(keys(&self.load(None, std::slice::from_ref(variable))));
            }
        }
        let together = keys(&together);
        let cross_checked = |(key, _): &&(String, String)| CROSS_CHECKED.contains(&key.as_str());
        let lost: Vec<_> = alone
            .difference(&together)
            .filter(|fault| !cross_checked(fault))
            .collect();
        assert!(lost.is_empty(), "{lost:?} of {variables:?}");
        let added: Vec<_> = together
            .difference(&alone)
            .filter(|fault| !cross_checked(fault))
            .collect();
        assert!(added.is_empty(), "{added:?} of {variables:?}");
    }

    /// Settings are accounted for key by key, and the account can be read back. Faults are at least
    /// one, in order, each on a line that moves no cursor.
    pub(crate) fn well_said(&self, result: &Result<Loaded, Error>) {
        let loaded = match result {
            Ok(loaded) => loaded,
            Err(error) => {
                let text = error.to_string();
                let is_unsafe = |c: char| {
                    c != '\n' && c.is_control()
                        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
                        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!text.contains(is_unsafe), "{text:?}");
                if let Error::Invalid(faults) = error {
                    let lines = faults.len() + faults.ignored().len() + 1;
                    assert_eq!(text.lines().count(), lines, "{text}");
                    assert!(!faults.is_empty() && faults.is_sorted_by_key(|fault| &fault.key));
                }
                return;
            }
        };
        let keys: Vec<_> = loaded.entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(keys, KEYS);
        let mut text = String::new();
        let mut expected = loaded.settings.clone();
        for entry in loaded
            .entries
            .iter()
            .filter(|entry| entry.value != "(unset)")
        {
            if entry.key == "readiness.checks" && entry.value.contains("********") {
                // A password, which the account keeps to itself.
                expected.readiness.checks.clear();
            } else {
                text.extend([&*entry.key, " = ", &entry.value, "\n"]);
            }
        }
        let again = self
            .load(Some(("again.toml", text.as_bytes())), &[])
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again.settings, expected);
    }
}

/// Whether a later layer or a later variable sets the same key.
fn is_covered(variable: &(OsString, OsString), all: &[(OsString, OsString)]) -> bool {
    let key = |(name, value): &(OsString, OsString)| match &*name.to_string_lossy() {
        // Unset, and covers nothing.
        name if value.is_empty() => format!("{name} without a value"),
        "PORT" => "BERTH__SERVER__PORT".to_owned(),
        "ENVIRONMENT" => "BERTH__APP__ENVIRONMENT".to_owned(),
        "APP_NAME" => "BERTH__APP__NAME".to_owned(),
        "VERSION" => "BERTH__APP__VERSION".to_owned(),
        name => name.to_owned(),
    };
    let is_plain =
        |(name, _): &(OsString, OsString)| !name.to_string_lossy().starts_with("BERTH__");
    let place = all.iter().position(|other| std::ptr::eq(other, variable));
    all.iter().enumerate().any(|(at, other)| {
        key(other) == key(variable) && (is_plain(other), Some(at)) > (is_plain(variable), place)
    })
}

/// The faults, of which there may be none.
pub(crate) fn faults(result: &Result<Loaded, Error>) -> Vec<Fault> {
    match result {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(faults)) => faults.to_vec(),
        Err(error) => panic!("{error}"),
    }
}
