use super::*;

#[test]
fn every_key_from_the_environment() {
    for (key, text, rendered) in KEYS {
        let loaded = alone(key, text).unwrap();
        let entry = entry(&loaded, key);
        assert_eq!(
            (entry.value.as_str(), &entry.origin),
            (rendered, &Origin::Env(variable(key)))
        );
        assert_ne!(loaded.settings, defaults(), "{key}");
    }
}

#[test]
fn every_key_from_a_file() {
    let mut all = String::new();
    for (key, _, rendered) in &KEYS[..29] {
        let (section, name) = key.split_once('.').unwrap();
        let yaml = rendered.replace(" = ", ": ");
        for (file, text) in [
            ("a.toml", format!("[{section}]\n{name} = {rendered}\n")),
            ("a.yaml", format!("{section}:\n  {name}: {yaml}\n")),
            ("a.YML", format!("{section}: {{{name}: {yaml}}}\n")),
        ] {
            let needed = needed(key);
            let needed: Vec<_> = needed
                .iter()
                .map(|(name, value)| (&**name, *value))
                .collect();
            let loaded = with_file(file, text, &needed).unwrap();
            let entry = entry(&loaded, key);
            assert_eq!(entry.value, *rendered);
            assert!(matches!(&entry.origin, Origin::File(path) if path.ends_with(file)));
            assert_ne!(loaded.settings, defaults(), "{key}");
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
fn an_empty_variable_counts_as_unset_whatever_the_key() {
    let file = "[server]\nport = 1\nbacklog = 1\n";
    for (key, ..) in KEYS {
        let name = variable(key);
        let loaded = with_file("a.toml", file, &[(&name, ""), ("PORT", "")]).unwrap();
        assert_eq!(loaded.settings.server.port, 1, "{name}");
        assert_eq!(loaded.settings.server.backlog, 1, "{name}");
        assert!(!matches!(entry(&loaded, key).origin, Origin::Env(_)));
    }
    // There is nothing of it that could be unknown.
    assert_eq!(
        from_env(&[("BERTH__SERVER__PORTS", "")]).unwrap().settings,
        defaults()
    );
    // Blank is not empty.
    let blank = faults(from_env(&[("BERTH__SERVER__PORT", " ")]));
    assert_eq!(blank.len(), 1);
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
    assert_eq!(from_env(&foreign).unwrap().settings, defaults());
}
