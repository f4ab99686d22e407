//! A service's name is in its variables, its messages and its defaults.

use super::*;

const MY_SHOP: ServiceName = ServiceName::new("my-shop");

fn of_shop(variables: &[(&str, &str)]) -> Result<Loaded, Error> {
    load(&Sources {
        service: MY_SHOP,
        version: VERSION,
        file: None,
        environment: environment(variables),
    })
}

#[test]
fn every_key_has_a_variable_of_this_service() {
    for (key, text, rendered) in KEYS {
        let variable = format!("MY_SHOP__{}", key.to_uppercase().replace('.', "__"));
        let needed = needed(key);
        let needed = needed
            .iter()
            .map(|(name, value)| (name.replace("BERTH", "MY_SHOP"), *value));
        let all: Vec<_> = needed.chain([(variable.clone(), text)]).collect();
        let all: Vec<_> = all.iter().map(|(name, value)| (&**name, *value)).collect();
        let loaded = of_shop(&all).unwrap();
        let entry = entry(&loaded, key);
        assert_eq!(entry.value, rendered);
        assert_eq!(entry.origin, Origin::Env(variable));
    }
}

#[test]
fn variables_of_other_services_are_ignored() {
    let variables = [
        ("BERTH__SERVER__PORT", "1"),
        ("MY__SHOP__SERVER__PORT", "x"),
        ("SHOP__SERVER__PORT", "x"),
        ("MY-SHOP__SERVER__PORT", "x"),
        ("my-shop__server__port", "x"),
        ("MY_SHOPS__SERVER__PORT", "x"),
        ("MY_SHOP_PORT", "tcp://10.0.0.1:80"),
        ("MY_SHOP_CONFIG", "/none.toml"),
    ];
    let loaded = of_shop(&variables).unwrap();
    let none = of_shop(&[]).unwrap();
    assert_eq!(loaded.settings, none.settings);
    assert_eq!(loaded.entries, none.entries);
    assert_eq!(loaded.settings.server.port, 8080);
    let one = from_env(&[("MY_SHOP__SERVER__PORT", "x"), ("BERTH__SERVER__PORT", "1")]);
    assert_eq!(one.unwrap().settings.server.port, 1);
}

#[test]
fn the_default_of_app_name_is_the_name() {
    let loaded = of_shop(&[]).unwrap();
    assert_eq!(loaded.settings.app.name, "my-shop");
    let name = entry(&loaded, "app.name");
    assert_eq!(
        (&*name.value, &name.origin),
        (r#""my-shop""#, &Origin::Default)
    );
    let renamed = of_shop(&[("APP_NAME", "till")]).unwrap();
    assert_eq!(renamed.settings.app.name, "till");
    // Only what it is called differs.
    let mut settings = loaded.settings;
    BERTH.as_str().clone_into(&mut settings.app.name);
    assert_eq!(settings, defaults());
}

#[test]
fn what_is_said_has_this_name() {
    let faults = faults(of_shop(&[("MY_SHOP__LOG__FORMATS", "json")]));
    assert_eq!(
        faults.to_string(),
        "1 fault in the settings:\n  log.formats (environment variable MY_SHOP__LOG__FORMATS): \
         unknown key; did you mean `log.format` (MY_SHOP__LOG__FORMAT)?"
    );
    let error = load(&Sources {
        file: Some("/none.toml".into()),
        ..Sources::new(MY_SHOP, VERSION)
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "cannot use the settings file /none.toml: No such file or directory (os error 2); \
         check the path (--config or MY_SHOP_CONFIG) and who may read it"
    );
}
