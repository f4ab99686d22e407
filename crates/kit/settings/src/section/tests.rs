use std::time::Duration;

use serde::Deserialize;

use super::*;
use crate::tests::{BERTH, VERSION};
use crate::{Error, Loaded, Secret, SecretUrl, Sources, load_as};

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Orders {
    #[garde(range(min = 1, max = 100))]
    page_size: u32,
    #[garde(skip)]
    #[serde(with = "crate::duration")]
    #[schema(value_type = String)]
    ttl: Duration,
    #[garde(skip)]
    express: bool,
    #[garde(inner(length(chars, min = 1, max = 8)))]
    countries: Vec<String>,
    #[garde(skip)]
    url: Option<SecretUrl>,
    #[garde(skip)]
    signing: Secret<u64>,
    #[garde(length(chars, max = 16))]
    api_key: String,
    #[garde(custom(strong))]
    optional: Option<Secret<String>>,
    #[garde(skip)]
    replicas: Vec<SecretUrl>,
    #[garde(skip)]
    mail: Mail,
    #[garde(skip)]
    retries: Option<u8>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Mail {
    key: Secret<String>,
    password: String,
    port: u16,
}

fn strong(secret: &Option<Secret<String>>, (): &()) -> garde::Result {
    match secret {
        Some(secret) if secret.expose().len() < 9 => Err(garde::Error::new("too weak")),
        _ => Ok(()),
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            page_size: 20,
            ttl: Duration::from_mins(1),
            express: false,
            countries: vec!["de".to_owned()],
            url: None,
            signing: Secret::new(7),
            api_key: String::new(),
            optional: None,
            replicas: Vec::new(),
            mail: Mail::default(),
            retries: None,
        }
    }
}

#[derive(Debug)]
struct Service {
    orders: Orders,
}

impl ServiceSettings for Service {
    fn read(_: Settings, sections: &mut Sections<'_>) -> Self {
        Self {
            orders: sections.take("orders"),
        }
    }
}

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<(Loaded, Service), Error> {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let variables = environment.iter();
    load_as(&Sources {
        service: BERTH,
        version: VERSION,
        file: Some(file.path().to_owned()),
        environment: variables.map(|(k, v)| (k.into(), v.into())).collect(),
    })
}

/// Each fault on a line, without where it comes from.
fn faults(toml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let Err(Error::Invalid(faults)) = load(toml, environment) else {
        panic!("{toml:?} and {environment:?} must not be taken")
    };
    let line = |fault: &Fault| match &fault.value {
        Some(value) => format!("{} = {value}: {}", fault.key, fault.problem),
        None => format!("{}: {}", fault.key, fault.problem),
    };
    faults.iter().map(line).collect()
}

#[test]
fn a_section_has_defaults_and_takes_file_and_environment() {
    assert_eq!(load("", &[]).unwrap().1.orders, Orders::default());
    let toml = r#"
        [orders]
        page_size = 50
        ttl = "2m"
        express = true
        countries = ["fr", "it"]
        url = "postgres://app:hunter2@db/shop"
    "#;
    let environment = [
        ("BERTH__ORDERS__PAGE_SIZE", "60"),
        ("BERTH__ORDERS__EXPRESS", "false"),
        ("BERTH__ORDERS__SIGNING", "12345"),
        ("BERTH__ORDERS__COUNTRIES", r#"["es"]"#),
    ];
    let (loaded, Service { orders }) = load(toml, &environment).unwrap();
    assert_eq!(orders.page_size, 60);
    assert_eq!(orders.ttl, Duration::from_mins(2));
    assert!(!orders.express);
    assert_eq!(orders.countries, ["es"]);
    assert_eq!(*orders.signing.expose(), 12345);
    assert_eq!(orders.url.unwrap().expose().password(), Some("hunter2"));

    let shown: Vec<_> = loaded
        .entries
        .iter()
        .filter(|entry| entry.key.starts_with("orders."))
        .map(|entry| (&*entry.key, &*entry.value, &entry.origin))
        .collect();
    let values: Vec<_> = shown.iter().map(|(key, value, _)| (*key, *value)).collect();
    assert_eq!(
        values,
        [
            ("orders.api_key", "********"),
            ("orders.countries", r#"["es"]"#),
            ("orders.express", "false"),
            (
                "orders.mail",
                r#"{"key":"********","password":"********","port":0}"#
            ),
            ("orders.optional", "(unset)"),
            ("orders.page_size", "60"),
            ("orders.replicas", "[]"),
            ("orders.retries", "(unset)"),
            ("orders.signing", "********"),
            ("orders.ttl", "\"2m\""),
            ("orders.url", "\"postgres://********@db/shop\""),
        ]
    );
    let json = |key: &str| {
        let mut entries = loaded.entries.iter();
        &entries.find(|entry| entry.key == key).unwrap().json
    };
    assert_eq!(*json("orders.api_key"), MASK);
    assert_eq!(*json("orders.countries"), serde_json::json!(["es"]));
    assert_eq!(*json("orders.express"), false);
    let mail = serde_json::json!({ "key": MASK, "password": MASK, "port": 0 });
    assert_eq!(*json("orders.mail"), mail);
    assert!(json("orders.optional").is_null());
    assert_eq!(*json("orders.page_size"), 60);
    assert_eq!(*json("orders.ttl"), "2m");
    let page_size = Origin::Env("BERTH__ORDERS__PAGE_SIZE".to_owned());
    assert_eq!(*shown[5].2, page_size);
    assert_eq!(*shown[0].2, Origin::Default);
    assert!(matches!(shown[9].2, Origin::File(_)));
}

#[test]
fn every_fault_of_every_section_comes_at_once() {
    let toml = r#"
        [orders]
        page_size = 0
        ttl = "soon"
        express = "perhaps"
        countries = ["de", "atlantis-on-sea"]
        page_sise = 3
        [server]
        port = 99999
    "#;
    let found = faults(toml, &[("BERTH__ORDERS__NOTHING", "1")]);
    let keys: Vec<_> = found
        .iter()
        .map(|line| line.split([' ', ':']).next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "orders.countries[1]",
            "orders.express",
            "orders.nothing",
            "orders.page_sise",
            "orders.page_size",
            "orders.ttl",
            "server.port"
        ],
        "{found:#?}"
    );
    assert!(
        found[1].contains("= \"perhaps\": must be true or false"),
        "{found:#?}"
    );
    assert!(found[4].contains("= 0: lower than 1"), "{found:#?}");
    assert!(
        found[3].contains("did you mean `orders.page_size`"),
        "{found:#?}"
    );
}

#[test]
fn a_fault_never_shows_what_may_be_secret() {
    for (variable, value) in [
        ("BERTH__ORDERS__SIGNING", "hunter2"),
        ("BERTH__ORDERS__URL", "postgres://app:/hunter2@db"),
        ("BERTH__ORDERS__API_KEY", "hunter2hunter2hunter2"),
        ("BERTH__ORDERS__OPTIONAL", "hunter2"),
        ("BERTH__ORDERS__OPTIONAL", "{hunter2"),
        ("BERTH__ORDERS__REPLICAS", "postgres://u:hunter2@a/b"),
        (
            "BERTH__ORDERS__REPLICAS",
            r#"["postgres://u:hunter2@a/b", 5]"#,
        ),
        ("BERTH__ORDERS__REPLICAS", r#"["hunter2"#),
        ("BERTH__ORDERS__MAIL", r#"{"key":"hunter2","port":"x"}"#),
        ("BERTH__ORDERS__MAIL", r#"{"key":"hunter2","prt":1}"#),
        ("BERTH__ORDERS__RETRIES", "hunter2"),
    ] {
        let found = faults("", &[(variable, value)]);
        assert_eq!(found.len(), 1, "{variable}: {found:#?}");
        assert!(!found[0].contains("hunter2"), "{variable}: {found:#?}");
    }
    let found = faults(
        "[orders]\nsigning = \"hunter2\"\napi_key = [\"hunter2\"]",
        &[],
    );
    assert!(!found.join(" ").contains("hunter2"), "{found:#?}");
}

#[test]
fn what_is_no_section_is_told_to_its_programmer() {
    #[derive(Debug, Default)]
    struct Odd;
    impl ServiceSettings for Odd {
        fn read(_: Settings, sections: &mut Sections<'_>) -> Self {
            let _: NoDefault = sections.take("odd");
            let _: Orders = sections.take("server");
            Self
        }
    }
    #[derive(Default, Serialize, Deserialize, Validate, ToSchema)]
    struct NoDefault {
        #[garde(skip)]
        needed: u8,
    }
    let Err(error) = load_as::<Odd>(&Sources::new(BERTH, VERSION)) else {
        panic!("two faults")
    };
    let text = error.to_string();
    assert!(
        text.contains("odd (built-in default): the type of this section needs"),
        "{text}"
    );
    assert!(
        text.contains("server (built-in default): is a section of Berth's own"),
        "{text}"
    );
}

#[test]
fn a_text_may_begin_like_json() {
    let environment = [
        ("BERTH__ORDERS__OPTIONAL", "[hunter2hunter2"),
        ("BERTH__ORDERS__API_KEY", "{x"),
    ];
    let (_, Service { orders }) = load("", &environment).unwrap();
    assert_eq!(orders.optional.unwrap().expose(), "[hunter2hunter2");
    assert_eq!(orders.api_key, "{x");
}

#[test]
fn what_is_right_alone_and_wrong_together_is_a_fault() {
    #[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
    #[serde(default, try_from = "Unchecked")]
    struct Range {
        #[garde(skip)]
        min: u8,
        #[garde(skip)]
        max: u8,
    }
    #[derive(Deserialize)]
    #[serde(default)]
    struct Unchecked {
        min: u8,
        max: u8,
    }
    impl Default for Unchecked {
        fn default() -> Self {
            Self { min: 1, max: 10 }
        }
    }
    impl Default for Range {
        fn default() -> Self {
            Self { min: 1, max: 10 }
        }
    }
    impl TryFrom<Unchecked> for Range {
        type Error = &'static str;
        fn try_from(Unchecked { min, max }: Unchecked) -> Result<Self, &'static str> {
            if min > max {
                Err("min is more than max")
            } else {
                Ok(Self { min, max })
            }
        }
    }
    #[derive(Debug)]
    struct Own;
    impl ServiceSettings for Own {
        fn read(_: Settings, sections: &mut Sections<'_>) -> Self {
            let _: Range = sections.take("range");
            Self
        }
    }
    let variables = [("BERTH__RANGE__MIN", "8"), ("BERTH__RANGE__MAX", "5")];
    let environment = variables
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let Err(error) = load_as::<Own>(&Sources {
        service: BERTH,
        version: VERSION,
        file: None,
        environment,
    }) else {
        panic!("a fault")
    };
    let text = error.to_string();
    assert!(
        text.contains("range (environment variable BERTH__RANGE__MAX): min is more"),
        "{text}"
    );
}

#[test]
fn a_duration_is_read_as_berths_own_are() {
    for wrong in ["18446744073709551615s 1000ms", "1 30s", "5", "soon"] {
        let found = faults("", &[("BERTH__ORDERS__TTL", wrong)]);
        assert!(found[0].contains("such as `1m 30s`"), "{found:#?}");
    }
}

#[test]
fn a_secret_that_has_changed_needs_a_restart() {
    let loaded = |password: &str| {
        let variables = [
            ("BERTH__ORDERS__OPTIONAL", password),
            ("BERTH__ORDERS__PAGE_SIZE", "3"),
        ];
        load("", &variables).unwrap().0
    };
    let running = loaded("hunter2hunter2");
    assert!(running.reload(loaded("hunter2hunter2")).pending.is_empty());
    let pending = running.reload(loaded("hunter3hunter3")).pending;
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].key, "orders.optional");
    assert_eq!(pending[0].value, "********");
}

mod refuse;
mod strict;
