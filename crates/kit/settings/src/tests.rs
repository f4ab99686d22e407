//! The crate as its callers see it: layers, faults, files.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use super::*;

/// Every key with a value that is not its default: in the environment, in TOML (as rendered),
/// in a file.
const KEYS: [(&str, &str, &str); 25] = [
    ("app.name", "renamed", r#""renamed""#),
    ("app.version", "2", r#""2""#),
    ("app.environment", "production", r#""production""#),
    ("server.host", "::1", r#""::1""#),
    ("server.port", "9000", "9000"),
    ("server.workers", "3", "3"),
    ("server.keep_alive", "0s", r#""0s""#),
    ("server.request_timeout", "1m 5s", r#""1m 5s""#),
    ("server.client_header_timeout", "250ms", r#""250ms""#),
    ("server.upgrade_idle_timeout", "90s", r#""1m 30s""#),
    ("server.max_body_bytes", "0", "0"),
    ("server.max_connections", "7", "7"),
    ("server.backlog", "8", "8"),
    ("shutdown.drain_delay", "5s", r#""5s""#),
    ("shutdown.timeout", "20s", r#""20s""#),
    ("shutdown.grace_period", "30s", r#""30s""#),
    (
        "readiness.checks",
        r#"[{ name = "db", url = "tcp://db:5432" }]"#,
        r#"[{ name = "db", url = "tcp://db:5432", interval = "10s", timeout = "2s", failure_threshold = 3, success_threshold = 1, required = true, status = "200-299" }]"#,
    ),
    ("log.filter", "warn,berth=debug", r#""warn,berth=debug""#),
    ("log.format", "json", r#""json""#),
    ("log.access", "false", "false"),
    ("metrics.enabled", "false", "false"),
    ("metrics.path", "/m", r#""/m""#),
    ("management.port", "9090", "9090"),
    ("debug.routes", "true", "true"),
    ("app.name", "last", r#""last""#),
];

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, Error> {
    load(&Sources {
        file: None,
        environment: environment(variables),
    })
}

fn from_file(name: &str, text: impl AsRef<[u8]>) -> Result<Loaded, Error> {
    with_file(name, text, &[])
}

fn with_file(
    name: &str,
    text: impl AsRef<[u8]>,
    variables: &[(&str, &str)],
) -> Result<Loaded, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    load(&Sources {
        file: Some(path),
        environment: environment(variables),
    })
}

fn faults(result: Result<Loaded, Error>) -> Faults {
    match result {
        Err(Error::Invalid(faults)) => faults,
        other => panic!("faults expected, not {other:?}"),
    }
}

/// The faults without where they came from.
fn problems(result: Result<Loaded, Error>) -> Vec<String> {
    let short = |fault: &Fault| match &fault.value {
        Some(value) => format!("{} = {value}: {}", fault.key, fault.problem),
        None => format!("{}: {}", fault.key, fault.problem),
    };
    faults(result).iter().map(short).collect()
}

fn variable(key: &str) -> String {
    format!("BERTH__{}", key.replace('.', "__").to_uppercase())
}

fn entry<'a>(loaded: &'a Loaded, key: &str) -> &'a Entry {
    loaded
        .entries
        .iter()
        .find(|entry| entry.key == key)
        .unwrap()
}

mod defaults {
    use super::*;

    #[test]
    fn are_what_the_reference_says() {
        let loaded = from_env(&[]).unwrap();
        let expected = Settings {
            app: App {
                name: "berth".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                environment: "development".to_owned(),
            },
            server: Server {
                host: "0.0.0.0".to_owned(),
                port: 8080,
                workers: Workers::Auto,
                keep_alive: Duration::from_secs(75),
                request_timeout: Duration::from_secs(30),
                client_header_timeout: Duration::from_secs(10),
                upgrade_idle_timeout: Duration::from_mins(5),
                max_body_bytes: 1_048_576,
                max_connections: 25_000,
                backlog: 1024,
            },
            shutdown: Shutdown {
                drain_delay: Duration::ZERO,
                timeout: Duration::from_secs(5),
                grace_period: None,
            },
            readiness: Readiness { checks: Vec::new() },
            log: Log {
                filter: "info".to_owned(),
                format: LogFormat::Text,
                access: true,
            },
            metrics: Metrics {
                enabled: true,
                path: "/metrics".to_owned(),
            },
            management: Management { port: None },
            debug: Debug { routes: false },
        };
        assert_eq!(loaded.settings, expected);
        assert_eq!(Settings::default(), expected);
        assert!(
            loaded
                .entries
                .iter()
                .all(|entry| entry.origin == Origin::Default)
        );
    }

    /// The file that users copy: valid as it is and with its commented keys in effect, and it
    /// names every key once, in the order of the entries, each below a comment.
    #[test]
    fn file_is_the_complete_reference() {
        let text = layers::DEFAULTS;
        assert_eq!(
            from_file("a.toml", text).unwrap().settings,
            Settings::default()
        );
        let all = text
            .replace("# version = ", "version = ")
            .replace("# grace_period = ", "grace_period = ")
            .replace("# port = ", "port = ");
        let loaded = from_file("a.toml", &all).unwrap();
        assert!(
            loaded
                .entries
                .iter()
                .all(|entry| matches!(entry.origin, Origin::File(_)))
        );

        let mut section = "";
        let mut above = "";
        let mut keys = Vec::new();
        for line in all.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((name, _)) =
                line.split_once(" = ").filter(|_| !line.starts_with('#'))
            {
                assert!(above.starts_with("# "), "{name} lacks a comment");
                keys.push(format!("{section}.{name}"));
            }
            above = line;
        }
        let known: Vec<_> = loaded.entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(keys, known);
        assert_eq!(known, KEYS.map(|(key, ..)| key)[..24]);
        let commented = text
            .lines()
            .filter(|line| line.starts_with("# ") && line.contains(" = "))
            .filter(|line| !line.starts_with("#   "));
        assert_eq!(
            commented.count(),
            3,
            "version, grace_period and management.port, and nothing else"
        );
    }

    #[test]
    fn the_readme_has_every_key_and_its_default() {
        const README: &str = include_str!("../../../../README.md");
        let mut section = "";
        let mut rows = Vec::new();
        for line in layers::DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if !line.starts_with('#')
                && let Some((name, value)) = line.split_once(" = ")
            {
                rows.push(format!("| `{section}.{name}` | `{value}` |"));
            }
        }
        rows.push("| `app.version` | the build's |".to_owned());
        rows.push("| `shutdown.grace_period` | unset |".to_owned());
        rows.push("| `management.port` | unset |".to_owned());
        assert_eq!(rows.len(), from_env(&[]).unwrap().entries.len());
        for row in rows {
            assert!(
                README.contains(&row),
                "README.md has no row that starts with {row}"
            );
        }
    }

    #[test]
    fn entries_render_as_toml() {
        let loaded = from_env(&[]).unwrap();
        let value = |key| entry(&loaded, key).value.as_str();
        assert_eq!(value("app.name"), r#""berth""#);
        assert_eq!(value("server.workers"), r#""auto""#);
        assert_eq!(value("server.keep_alive"), r#""1m 15s""#);
        assert_eq!(value("shutdown.grace_period"), "(unset)");
        // All of them, read back, are the same settings.
        let mut text = String::new();
        for entry in loaded
            .entries
            .iter()
            .filter(|entry| entry.value != "(unset)")
        {
            text.extend([&*entry.key, " = ", &entry.value, "\n"]);
        }
        assert_eq!(from_file("a.toml", text).unwrap().settings, loaded.settings);
    }
}

mod layering {
    use super::*;

    #[test]
    fn every_key_from_the_environment() {
        for (key, text, rendered) in KEYS {
            let loaded = from_env(&[(&variable(key), text)]).unwrap();
            let entry = entry(&loaded, key);
            assert_eq!(
                (entry.value.as_str(), &entry.origin),
                (rendered, &Origin::Env(variable(key)))
            );
            assert_ne!(loaded.settings, Settings::default(), "{key}");
        }
    }

    #[test]
    fn every_key_from_a_file() {
        let mut all = String::new();
        for (key, _, rendered) in &KEYS[..24] {
            let (section, name) = key.split_once('.').unwrap();
            let yaml = rendered.replace(" = ", ": ");
            for (file, text) in [
                ("a.toml", format!("[{section}]\n{name} = {rendered}\n")),
                ("a.yaml", format!("{section}:\n  {name}: {yaml}\n")),
                ("a.YML", format!("{section}: {{{name}: {yaml}}}\n")),
            ] {
                let loaded = from_file(file, text).unwrap();
                let entry = entry(&loaded, key);
                assert_eq!(entry.value, *rendered);
                assert!(matches!(&entry.origin, Origin::File(path) if path.ends_with(file)));
                assert_ne!(loaded.settings, Settings::default(), "{key}");
            }
            all.extend([key, " = ", rendered, "\n"]);
        }
        let loaded = from_file("a.toml", format!("\u{feff}{all}")).unwrap();
        assert_eq!(
            loaded.settings.server.workers,
            Workers::Fixed(NonZeroUsize::new(3).unwrap())
        );
        assert_eq!(
            loaded.settings.server.request_timeout,
            Duration::from_secs(65)
        );
        assert_eq!(
            loaded.settings.shutdown.grace_period,
            Some(Duration::from_secs(30))
        );
        assert_eq!(loaded.settings.log.format, LogFormat::Json);
    }

    #[test]
    fn later_wins() {
        let file = "[server]\nport = 1\nbacklog = 1\n[app]\nname = 'file'\n";
        let loaded = with_file(
            "a.toml",
            file,
            &[
                ("PORT", "3"),
                ("BERTH__SERVER__PORT", "2"),
                ("BERTH__APP__NAME", "env"),
            ],
        )
        .unwrap();
        assert_eq!(loaded.settings.server.port, 3);
        assert_eq!(loaded.settings.server.backlog, 1);
        assert_eq!(loaded.settings.app.name, "env");
        assert_eq!(
            entry(&loaded, "server.port").origin,
            Origin::Env("PORT".to_owned())
        );
        assert_eq!(entry(&loaded, "server.host").origin, Origin::Default);
    }

    #[test]
    fn plain_variables() {
        let loaded = from_env(&[
            ("VERSION", "v"),
            ("APP_NAME", "n"),
            ("ENVIRONMENT", "e"),
            ("PORT", ""),
            ("BERTH__SERVER__PORT", "2"),
        ])
        .unwrap();
        let App {
            name,
            version,
            environment,
        } = loaded.settings.app;
        assert_eq!([name, version, environment], ["n", "v", "e"]);
        assert_eq!(loaded.settings.server.port, 2);
        let faults = faults(from_env(&[("PORT", "99999")]));
        assert_eq!(
            faults.to_string(),
            "1 fault in the settings:\n  server.port = \"99999\" (environment variable PORT): \
             must be a whole number from 0 to 65535"
        );
    }

    #[test]
    fn foreign_variables_are_ignored() {
        let foreign = [
            ("BERTH_PORT", "tcp://10.0.0.1:80"),
            ("BERTH_SERVICE_HOST", "10.0.0.1"),
            ("BERTH_CONFIG", "/none.toml"),
            ("BERTH", "x"),
            ("berth__server__port", "x"),
            ("port", "x"),
            ("XBERTH__A", "x"),
            ("PATH", "/bin"),
        ];
        assert_eq!(from_env(&foreign).unwrap().settings, Settings::default());
    }
}

mod refusals {
    use super::*;

    #[test]
    fn unknown_keys_show_no_value() {
        let file = "hunter = 1\n[server]\nprot = 'hunter2'\n'a.b' = 1\n[serverr]\n[db]\npassword = 'hunter2'\n";
        let text = faults(with_file(
            "a.toml",
            file,
            &[
                ("BERTH__SERVER__PORTS", "hunter2"),
                ("BERTH__Server__Port", "1"),
                ("BERTH__", "x"),
            ],
        ))
        .to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        assert_eq!(lines[0], "8 faults in the settings:");
        assert_eq!(lines.len(), 9);
        assert!(lines[1..].is_sorted());
        for expected in [
            "did you mean `server.port` (BERTH__SERVER__PORT)?",
            "server.ports (environment variable BERTH__SERVER__PORTS): unknown key; ",
            r#""Server"."Port" (environment variable BERTH__Server__Port): unknown key; did"#,
            r#""" (environment variable BERTH__): unknown key"#,
            "a.toml): unknown key; did you mean `server.port`?",
            "db.password (file ",
            r#"server."a.b" (file "#,
            "serverr (file ",
            "hunter (file ",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn sections_and_keys_are_not_mistaken() {
        for (name, text) in [
            ("a.toml", "server = 3\n"),
            ("a.toml", "[[server]]\nport = 1\n"),
            ("a.yaml", "server: localhost\n"),
        ] {
            let problem =
                "server: is a section, not a key: set the keys in it, such as `server.host`";
            assert_eq!(problems(from_file(name, text)), [problem]);
        }
        let problem = "server.port: must be a whole number from 0 to 65535, not a table";
        assert_eq!(
            problems(from_file("a.toml", "server.port.x = 1\n")),
            [problem]
        );
        let problem = "app.name: must be 1 to 64 characters without control characters, not a list";
        assert_eq!(
            problems(from_file("a.toml", "app.name = ['a']\n")),
            [problem]
        );
        assert!(from_file("a.yaml", "server:\nlog: {}\n").is_ok());
        // A key with a dot in it is not a key in a section.
        let problem = "\"server.port\": unknown key; did you mean `server.port`?";
        assert_eq!(
            problems(from_file("a.toml", "'server.port' = 1\n")),
            [problem]
        );
    }

    #[test]
    fn a_file_has_strict_types() {
        let number = "must be a whole number from 0 to 65535";
        let label = "must be 1 to 64 characters without control characters";
        for (text, problem) in [
            ("server.port = '8080'", format!("server.port = \"8080\": {number}, without quotes")),
            ("server.port = 'x'", format!("server.port = \"x\": {number}")),
            ("server.port = true", format!("server.port = true: {number}")),
            ("server.port = 80.5", format!("server.port = 80.5: {number}")),
            ("server.port = 80.0", format!("server.port = 80.0: {number}")),
            ("server.port = nan", format!("server.port = NaN: {number}")),
            ("app.version = 5", format!("app.version = 5: {label}, in quotes")),
            ("app.name = true", format!("app.name = true: {label}, in quotes")),
            ("log.access = 1", "log.access = 1: must be true or false".to_owned()),
            ("log.access = 'true'", "log.access = \"true\": must be true or false, without quotes".to_owned()),
            ("log.format = 1", "log.format = 1: must be \"text\" or \"json\", in quotes".to_owned()),
            (
                "server.workers = '4'",
                "server.workers = \"4\": must be \"auto\" or a whole number from 1 to 512, without quotes".to_owned(),
            ),
            (
                "server.keep_alive = 5",
                "server.keep_alive = 5: must be a duration from 0s to 1h: write a unit, for example `5s`, in quotes"
                    .to_owned(),
            ),
        ] {
            assert_eq!(problems(from_file("a.toml", text)), [problem]);
        }
        let problem = format!("app.name = 5: {label}, in quotes");
        assert_eq!(
            problems(from_file("a.yaml", "app:\n  name: 5\n")),
            [problem]
        );
        let problem = format!("app.name: {label}, but it has no value: give it one or remove it");
        assert_eq!(problems(from_file("a.yaml", "app:\n  name:\n")), [problem]);
        let problem = "log.access = \"yes\": must be true or false";
        assert_eq!(
            problems(from_file("a.yaml", "log: {access: yes}")),
            [problem]
        );
    }

    #[test]
    fn ranges_end_where_they_say() {
        for (key, inside, outside) in [
            ("server.port", ["0", "65535"], ["-1", "65536"]),
            ("server.workers", ["1", "512"], ["0", "513"]),
            ("server.keep_alive", ["0s", "1h"], ["", "3600001ms"]),
            ("server.request_timeout", ["1ms", "1h"], ["999us", "61m"]),
            (
                "server.client_header_timeout",
                ["1ms", "5m"],
                ["0s", "301s"],
            ),
            (
                "server.max_body_bytes",
                ["0", "1073741824"],
                ["-1", "1073741825"],
            ),
            (
                "server.upgrade_idle_timeout",
                ["1s", "1d"],
                ["999ms", "25h"],
            ),
            ("server.max_connections", ["1", "1000000"], ["0", "1000001"]),
            ("server.backlog", ["1", "65535"], ["0", "65536"]),
            ("shutdown.drain_delay", ["0s", "10m"], ["0", "601s"]),
            ("shutdown.timeout", ["0s", "1h"], ["500ms", "3601s"]),
            ("shutdown.grace_period", ["5s", "2h"], ["999ms", "7201s"]),
        ] {
            for text in inside {
                from_env(&[(&variable(key), text)]).unwrap();
            }
            for text in outside {
                let faults = faults(from_env(&[(&variable(key), text)]));
                assert_eq!((faults.len(), faults[0].key.as_str()), (1, key), "{text}");
            }
        }
        let problem = "shutdown.timeout = \"1500ms\": must be whole seconds: actix counts its shutdown in seconds";
        assert_eq!(
            problems(from_env(&[("BERTH__SHUTDOWN__TIMEOUT", "1500ms")])),
            [problem]
        );
    }

    #[test]
    fn all_faults_at_once_in_the_order_of_keys() {
        let variables: Vec<_> = KEYS
            .map(|(key, ..)| (variable(key), "\n".repeat(999)))
            .into();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let faults = faults(with_file(
            "a.toml",
            "server.x = 1\na.b = 2\n[[log]]\n",
            &variables,
        ));
        assert_eq!(faults.len(), 24 + 3);
        assert!(faults.is_sorted_by_key(|fault| &fault.key));
        let text = faults.to_string();
        assert_eq!(text.lines().count(), 28);
        assert!(text.lines().all(|line| line.chars().count() < 500));
        assert!(text.contains(&format!("server.port = \"{}…\" (", "\\n".repeat(80))));
    }

    #[test]
    fn two_listeners_on_one_port() {
        let ports =
            |public, private| from_env(&[("PORT", public), ("BERTH__MANAGEMENT__PORT", private)]);
        assert_eq!(
            problems(ports("9090", "9090")),
            ["management.port = 9090: must not be server.port, too (environment variable PORT)"]
        );
        assert!(ports("8080", "9090").is_ok());
        assert!(ports("0", "0").is_ok());
    }

    #[test]
    fn a_drain_longer_than_the_grace_period() {
        let drain = |delay, timeout, grace| {
            from_env(&[
                ("BERTH__SHUTDOWN__DRAIN_DELAY", delay),
                ("BERTH__SHUTDOWN__TIMEOUT", timeout),
                ("BERTH__SHUTDOWN__GRACE_PERIOD", grace),
            ])
        };
        assert!(drain("10s", "20s", "30s").is_ok());
        assert_eq!(
            problems(drain("10s", "21s", "30s")),
            [
                "shutdown.grace_period = \"30s\": must be at least 31s, the sum of shutdown.drain_delay = \"10s\" \
              (environment variable BERTH__SHUTDOWN__DRAIN_DELAY) and shutdown.timeout = \"21s\" \
              (environment variable BERTH__SHUTDOWN__TIMEOUT)"
            ]
        );
        assert_eq!(faults(drain("1ms", "30s", "30s")).len(), 1);
        // The default timeout that stands in for the faulty one is not held against it.
        assert_eq!(problems(drain("0s", "5", "1s")).len(), 1);
    }
}

mod reload {
    use super::*;

    /// What a reload says of each key is what it does with it.
    #[test]
    fn each_key_applies_at_once_or_waits_for_a_restart() {
        let running = from_env(&[]).unwrap();
        let mut live = Vec::new();
        for (key, text, _) in &KEYS[..24] {
            let read = from_env(&[(&variable(key), text)]).unwrap();
            assert_ne!(read.settings, running.settings, "{key}");
            let Reloaded { loaded, pending } = running.reload(read.clone());
            if pending.is_empty() {
                live.push(*key);
                assert_eq!(loaded, read, "{key}");
            } else {
                assert_eq!(loaded, running, "{key}");
                assert_eq!(pending, [entry(&read, key).clone()]);
            }
        }
        let expected = [
            "server.request_timeout",
            "shutdown.drain_delay",
            "shutdown.timeout",
            "shutdown.grace_period",
            "readiness.checks",
            "log.filter",
            "log.format",
            "log.access",
        ];
        assert_eq!(live, expected);
    }

    #[test]
    fn what_waits_does_not_hold_back_what_does_not() {
        let running = from_env(&[]).unwrap();
        let read = from_env(&[("PORT", "9000"), ("BERTH__LOG__FILTER", "debug")]).unwrap();
        let Reloaded { loaded, pending } = running.reload(read);
        assert_eq!(loaded.settings.server.port, 8080);
        assert_eq!(entry(&loaded, "server.port").origin, Origin::Default);
        assert_eq!(loaded.settings.log.filter, "debug");
        assert_eq!(entry(&loaded, "log.filter").value, "\"debug\"");
        assert_eq!(pending.len(), 1);
        // It still waits at the next time, and no longer once it is taken back.
        let again = from_env(&[("PORT", "9000")]).unwrap();
        assert_eq!(loaded.reload(again).pending.len(), 1);
        assert_eq!(loaded.reload(from_env(&[]).unwrap()).pending, []);
    }
}

mod files {
    use super::*;

    #[test]
    fn a_malformed_file_is_one_fault_among_others() {
        for (name, text) in [
            ("a.toml", "[server\nport = 1\n"),
            ("a.yaml", "server:\n port: 1\n  x: [\n"),
        ] {
            let faults = faults(with_file(name, text, &[("PORT", "x")]));
            assert_eq!(faults.len(), 2);
            assert_eq!(faults[0].key, "");
            let line = faults[0].to_string();
            assert!(
                line.starts_with("file /")
                    && line.contains("cannot be parsed")
                    && line.contains("line "),
                "{line}"
            );
            assert_eq!(faults[1].key, "server.port");
        }
    }

    #[test]
    fn unreadable_files_say_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("dir.toml")).unwrap();
        fs::write(path("bytes.toml"), b"a = '\xff'").unwrap();
        fs::write(path("large.yaml"), "#".repeat((1 << 20) + 1)).unwrap();
        fs::write(path("full.yaml"), "#".repeat(1 << 20)).unwrap();
        fs::write(path("a.json"), "{}").unwrap();
        let open = |path: &Path| {
            load(&Sources {
                file: Some(path.to_owned()),
                environment: vec![],
            })
        };
        for (name, says) in [
            (
                "none.toml",
                "No such file or directory (os error 2); check the path",
            ),
            ("dir.toml", "it is a directory"),
            ("bytes.toml", "it is not UTF-8"),
            ("large.yaml", "it is larger than 1 MiB"),
            ("a.json", "its name must end in .toml, .yaml or .yml"),
            ("noextension", "its name must end in"),
            ("", "its name must end in"),
        ] {
            let error = open(&path(name)).unwrap_err();
            assert!(matches!(error, Error::File { .. }));
            let text = error.to_string();
            assert!(
                text.starts_with("cannot use the settings file /") && text.contains(says),
                "{text}"
            );
        }
        open(&path("full.yaml")).unwrap();
    }
}

mod hostile_input {
    use super::*;

    /// Knuth's MMIX: the same garbage every time.
    struct Garbage(u64);

    impl Garbage {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % bound
        }

        fn text(&mut self) -> String {
            const WORDS: [&str; 52] = [
                "server",
                "port",
                "app",
                "name",
                "shutdown",
                "timeout",
                ".",
                "=",
                " = ",
                ":",
                ": ",
                "- ",
                "? ",
                "\n",
                "\n  ",
                "\n[",
                "]\n",
                "[",
                "]",
                "[[",
                "]]",
                "{",
                "}",
                ",",
                "#",
                " #",
                "'",
                "\"",
                "\"\"\"",
                "'''",
                "\\",
                "\\u",
                "&a",
                "*a",
                "!",
                "!!int",
                "|\n",
                ">",
                "---\n",
                "...",
                "%",
                "~",
                "1",
                "-1",
                "1e999",
                ".inf",
                "99999999999999999999",
                "5s",
                "true",
                "\t",
                "\r",
                "é",
            ];
            (0..self.below(40))
                .map(|_| WORDS[self.below(WORDS.len())])
                .collect()
        }
    }

    fn survives(result: Result<Loaded, Error>) {
        if let Err(error) = result {
            let text = error.to_string();
            let Error::Invalid(faults) = error else {
                panic!("{text}")
            };
            assert_eq!(text.lines().count(), faults.len() + 1, "{text}");
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }

    #[test]
    fn garbage_in_files_and_variables() {
        let mut garbage = Garbage(1);
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..1000 {
            for name in ["a.toml", "a.yaml"] {
                let path = directory.path().join(name);
                fs::write(&path, garbage.text()).unwrap();
                let (key, ..) = KEYS[garbage.below(KEYS.len())];
                let environment = vec![
                    (variable(key).into(), garbage.text().into()),
                    (
                        format!("BERTH__{}", garbage.text()).into(),
                        garbage.text().into(),
                    ),
                ];
                survives(load(&Sources {
                    file: Some(path),
                    environment,
                }));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn variables_that_are_not_text() {
        use std::os::unix::ffi::OsStringExt as _;

        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let environment = vec![
            ("PORT".into(), bytes(b"80\xff")),
            ("BERTH__APP__NAME".into(), bytes(b"\xff")),
            (bytes(b"BERTH__\xff"), "x".into()),
            (bytes(b"\xff"), bytes(b"\xff")),
        ];
        let faults = faults(load(&Sources {
            file: None,
            environment,
        }));
        let lines: Vec<_> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            lines,
            [
                "\"\u{fffd}\" (environment variable BERTH__\u{fffd}): unknown key",
                "app.name = \"\u{fffd}\" (environment variable BERTH__APP__NAME): \
             must be 1 to 64 characters without control characters; this is not UTF-8",
                "server.port = \"80\u{fffd}\" (environment variable PORT): \
             must be a whole number from 0 to 65535; this is not UTF-8",
            ]
        );
    }

    #[test]
    fn indices_in_names_allocate_nothing() {
        let faults = faults(with_file(
            "a.toml",
            "'a[1000000000]' = 1\n[server]\n'port[9999999999]' = 1\n",
            &[
                ("BERTH__SERVER__PORT[1000000000]", "1"),
                ("BERTH__A.B[0]__C", "1"),
            ],
        ));
        assert_eq!(faults.len(), 4);
    }
}

mod readiness_checks {
    use super::*;

    fn list(text: &str) -> Result<Loaded, Error> {
        from_env(&[("BERTH__READINESS__CHECKS", text)])
    }

    fn one(fields: &str) -> Result<ReadinessCheck, Vec<String>> {
        match list(&format!("[{{ name = 'a', {fields} }}]")) {
            Ok(mut loaded) => Ok(loaded.settings.readiness.checks.remove(0)),
            result => Err(problems(result)),
        }
    }

    #[test]
    fn from_a_file() {
        let expected = list("[{ name = 'db', url = 'tcp://db:1', interval = '5s' }, { name = 'c', url = 'http://c', required = false }]")
            .unwrap()
            .settings;
        let toml = "[[readiness.checks]]\nname = 'db'\nurl = 'tcp://db:1'\ninterval = '5s'\n\
                    [[readiness.checks]]\nname = 'c'\nurl = 'http://c'\nrequired = false\n";
        let yaml = "readiness:\n  checks:\n  - name: db\n    url: tcp://db:1\n    interval: 5s\n\
                    \x20 - name: c\n    url: http://c\n    required: false\n";
        assert_eq!(from_file("a.toml", toml).unwrap().settings, expected);
        assert_eq!(from_file("a.yaml", yaml).unwrap().settings, expected);
    }

    #[test]
    fn targets() {
        for (url, protocol, host, port) in [
            ("tcp://db:5432", Protocol::Tcp, "db", 5432),
            ("tcp://[::1]:80", Protocol::Tcp, "::1", 80),
            ("http://a/x?y=z", Protocol::Http, "a", 80),
            ("https://a:8443", Protocol::Https, "a", 8443),
            ("https://[::1]/", Protocol::Https, "::1", 443),
            ("redis://:pw@a/3", Protocol::Redis, "a", 6379),
            ("postgres://u:pw@a/db", Protocol::Postgres, "a", 5432),
            ("postgresql://a", Protocol::Postgres, "a", 5432),
        ] {
            let target = one(&format!("url = '{url}'")).unwrap().target;
            assert_eq!(
                (target.protocol(), target.host(), target.port()),
                (protocol, host, port),
                "{url}"
            );
        }
        for url in [
            "",
            "db",
            "db:5432",
            "tcp://db",
            "tcp://db:0",
            "tcp://:1",
            "ftp://a",
            "tcp://",
            "http://",
            "redis://a/x",
            "redis:///1",
            "postgres://",
            "tcp://a:65536",
            "http://a b",
        ] {
            let problems = one(&format!("url = '{url}'")).unwrap_err();
            assert!(
                problems[0].starts_with("readiness.checks[0].url: must "),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "redis://:hunter2@a/0",
            "postgres://u:hunter2@a/b?password=hunter2",
            "http://u:hunter2@a/?t=hunter2",
        ] {
            let loaded = list(&format!("[{{ name = 'a', url = '{url}' }}]")).unwrap();
            assert!(!format!("{loaded:?}").contains("hunter2"));
            assert!(
                entry(&loaded, "readiness.checks")
                    .value
                    .contains("********")
            );
            assert!(
                loaded.settings.readiness.checks[0]
                    .target
                    .url()
                    .as_str()
                    .contains("hunter2")
            );
        }
        for text in [
            "[{ name = 'a', url = 'redis://:hunter2@a/x' }]",
            "[{ name = 'a', url = 'x://:hunter2@a' }]",
            "[{ name = 'a', url = 'redis://:hunter2@a/0' ",
            "'redis://:hunter2@a/0'",
            "['redis://:hunter2@a/0']",
            "[{ 'redis://:hunter2@a' = 1 }]\nx = 'hunter2'",
        ] {
            let faults = faults(list(text)).to_string();
            assert!(!faults.contains("hunter2"), "{faults}");
        }
    }

    #[test]
    fn every_fault_of_every_check() {
        let text = "[{ url = 'tcp://a:1', interval = '1ms', timeout = '3s', required = 'yes' }, \
                    { name = 'b', url = 'tcp://b:1', interval = '1s', timeout = '2s', colour = 1 }, \
                    { name = 'c', url = 'tcp://c:1' }, { name = 'c', url = 'tcp://c:1', status = '99' }, \
                    { name = 'c', url = 'tcp://c:1' }]";
        assert_eq!(
            problems(list(text)),
            [
                "readiness.checks[0].interval = \"1ms\": must be a duration from 100ms to 10m",
                "readiness.checks[0].name: is missing",
                "readiness.checks[0].required = \"yes\": must be true or false",
                "readiness.checks[1].colour: unknown key; a check has name, url, interval, timeout, \
                 failure_threshold, success_threshold, required, status",
                "readiness.checks[1].timeout = \"2s\": must be a duration from 1ms to 1s",
                "readiness.checks[3].status = \"99\": must be a status or a range of them, such as \"200\" or \"200-399\"",
                "readiness.checks[4].name = \"c\": must not be another check's, too",
            ]
        );
    }

    #[test]
    fn the_timeout_follows_a_short_interval() {
        let check = one("url = 'tcp://a:1', interval = '500ms'").unwrap();
        assert_eq!(check.timeout, Duration::from_millis(500));
    }

    #[test]
    fn what_is_not_a_list_of_tables() {
        for text in [
            "",
            "1",
            "{}",
            "[1]",
            "[[]]",
            "[{]",
            "[]\nx = 1",
            "true",
            "'a'",
        ] {
            assert_eq!(problems(list(text)).len(), 1, "{text}");
        }
        assert_eq!(list("[]").unwrap().settings.readiness.checks, []);
        let many: Vec<_> = (0..33)
            .map(|n| format!("{{ name = 'a{n}', url = 'tcp://a:1' }}"))
            .collect();
        assert!(list(&format!("[{}]", many[..32].join(","))).is_ok());
        assert!(problems(list(&format!("[{}]", many.join(","))))[0].contains("at most 32"));
    }
}
