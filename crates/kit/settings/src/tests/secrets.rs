//! Nothing that may be a secret is shown: not in a fault, and not among the settings.

use super::*;

fn check(url: &str) -> Result<Loaded, Error> {
    let checks = format!("[{{ name = \"a\", url = \"{url}\" }}]");
    from_env(&[("BERTH__READINESS__CHECKS", &checks)])
}

#[test]
fn a_password_that_ends_its_url_is_refused_with_what_to_write() {
    for url in [
        "postgres://app:/s3cr3t@db:5432/shop",
        "postgres://app:7/s3cr3t@db:5432/shop",
        "postgres://app:#s3cr3t@db:5432/shop",
        "postgres://app:?s3cr3t@db:5432/shop",
        "postgres://app:a/s3cr3t@db",
        "redis://:/s3cr3t@cache:6379/0",
        "http://app:/s3cr3t@prices/",
    ] {
        let error = check(url).expect_err(url).to_string();
        assert!(error.contains("write / as %2F"), "{url}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let encoded = check("postgres://app:%2Fs3cr3t@db:5432/shop").unwrap();
    let target = &encoded.settings.readiness.checks[0].target;
    assert_eq!(target.to_string(), "postgres://********@db:5432/shop");
}

#[test]
fn what_a_check_asks_is_shown_without_who_logs_in() {
    for (url, shown) in [
        ("redis://s3cr3t@cache/0", "redis://********@cache/0"),
        ("redis://:s3cr3t@cache/0", "redis://********@cache/0"),
        ("postgres://s3cr3t:x@db/a", "postgres://********@db/a"),
        ("http://h/x?token=s3cr3t", "http://h/x?********"),
        ("http://h/x#s3cr3t", "http://h/x#********"),
    ] {
        let loaded = check(url).unwrap();
        let target = &loaded.settings.readiness.checks[0].target;
        assert_eq!(target.to_string(), shown);
        assert!(!format!("{loaded:?}").contains("s3cr3t"), "{loaded:?}");
    }
}

#[test]
fn a_url_in_the_wrong_place_is_not_quoted() {
    for (key, _, _) in KEYS {
        let variable = variable(key);
        for url in [
            "postgres://app:s3cr3t@db/shop",
            "redis://s3cr3t@cache",
            "https://hooks.example/s3cr3t",
        ] {
            let Err(error) = from_env(&[(&variable, url)]) else {
                panic!("{key} takes {url}");
            };
            assert!(!error.to_string().contains("s3cr3t"), "{key}: {error}");
        }
    }
}
