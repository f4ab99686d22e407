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
        " ",
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
