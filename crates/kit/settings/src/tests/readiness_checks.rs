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
    for (url, asks) in [
        ("tcp://db:5432", "Tcp"),
        ("tcp://[::1]:80", "Tcp"),
        ("http://a/x", "Http"),
        ("https://a:8443/", "Https"),
        ("https://[::1]/", "Https"),
        ("redis://a/3", "Redis"),
        ("valkey://a:1", "Redis"),
        ("unix:///var/run/redis.sock", "Redis"),
        ("redis+unix:///var/run/redis.sock", "Redis"),
        ("postgres://a/db", "Postgres"),
        ("postgresql://a", "Postgres"),
        ("postgres://a:5432,b:5433,[::1]:5434/db", "Postgres"),
        ("postgres://%2Fvar%2Frun%2Fpostgresql/db", "Postgres"),
        ("postgresql:///db", "Postgres"),
    ] {
        let target = one(&format!("url = '{url}'")).unwrap().target;
        let kind = match &target {
            Target::Tcp { .. } => "Tcp",
            Target::Http(_) => "Http",
            Target::Https(_) => "Https",
            Target::Redis(_) => "Redis",
            Target::Postgres(_) => "Postgres",
        };
        assert_eq!((kind, target.to_string().as_str()), (asks, url));
    }
    let ipv6 = one("url = 'tcp://[::1]:80'").unwrap().target;
    let host = "::1".to_owned();
    assert_eq!(ipv6, Target::Tcp { host, port: 80 });
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

/// What people paste from elsewhere is taken, or they are told what to write.
#[test]
fn a_form_that_people_paste_is_refused_with_what_to_write() {
    for (url, write) in [
        ("tcp://a:1,b:2", "several are several checks"),
        ("http://u:hunter2@a,b/", "several are several checks"),
        ("redis://:hunter2@a:1,b:2/0", "several are several checks"),
        ("redis:///run/redis.sock", "redis+unix:///run/redis.sock"),
        ("unix://run/redis.sock", "unix:///run/redis.sock"),
        ("rediss://:hunter2@a:6379", "tcp://host:port"),
        (
            "redis+socket:///run/redis.sock",
            "redis+unix:///run/redis.sock",
        ),
        (
            "amqp://u:hunter2@a:5672,b:5672/v",
            "`amqp:`: tcp://host:port",
        ),
        ("mongodb://u:hunter2@a,b/?replicaSet=x", "tcp://host:port"),
        (
            "jdbc:postgresql://a/db?password=hunter2",
            "write postgres://",
        ),
        ("postgresql+asyncpg://u:hunter2@a/db", "write postgres://"),
        ("/var/run/postgresql", "such as tcp://host:port"),
        ("postgres://a/db?options=x@hunter2", "@ as %40"),
        ("postgres://u@hunter2@a/db", "@ as %40"),
        ("hunter2 hunter2://a", "such as tcp://host:port"),
    ] {
        let problems = one(&format!("url = '{url}'")).unwrap_err();
        assert!(problems[0].contains(write), "{url}: {problems:?}");
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
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
        let exposed = match &loaded.settings.readiness.checks[0].target {
            Target::Postgres(url) => url.expose(),
            Target::Http(url) | Target::Redis(url) => url.expose().as_str(),
            other => panic!("{other}"),
        };
        assert!(exposed.contains("hunter2"));
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
