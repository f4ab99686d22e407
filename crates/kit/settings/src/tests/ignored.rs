//! Variables that look like settings and are none.

use super::*;

fn ignored(service: ServiceName, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let loaded = load(&Sources {
        service,
        version: VERSION,
        file: None,
        environment: environment(variables),
    });
    let ignored = loaded.unwrap().ignored.into_iter();
    ignored
        .map(|variable| (variable.name, variable.advice))
        .collect()
}

#[test]
fn a_variable_that_nearly_names_a_setting_is_told_with_the_right_name() {
    for (name, meant) in [
        ("BERTH_SERVER__PORT", "did you mean BERTH__SERVER__PORT?"),
        ("BERTH_SERVER_PORT", "did you mean BERTH__SERVER__PORT?"),
        ("berth__server__port", "did you mean BERTH__SERVER__PORT?"),
        ("Berth__Server__Port", "did you mean BERTH__SERVER__PORT?"),
        ("berth.server.port", "did you mean BERTH__SERVER__PORT?"),
        ("BERTH-SERVER-PORT", "did you mean BERTH__SERVER__PORT?"),
        ("BERTH_SERVER__PROT", "did you mean BERTH__SERVER__PORT?"),
        (
            "BERTH_SERVER_KEEPALIVE",
            "did you mean BERTH__SERVER__KEEP_ALIVE?",
        ),
        ("BERTH___LOG__FILTER", ""),
        (
            "BERTH_LOG",
            "`log` is a section; set the keys in it, such as BERTH__LOG__FILTER",
        ),
        ("berth_config", "did you mean BERTH_CONFIG?"),
    ] {
        // With the right beginning it is a key, of which unknown ones are refused.
        if meant.is_empty() {
            assert_eq!(faults(from_env(&[(name, "1")])).len(), 1, "{name}");
            continue;
        }
        let expected = [(name.to_owned(), meant.to_owned())];
        assert_eq!(ignored(BERTH, &[(name, "1")]), expected);
        // Empty is unset.
        assert_eq!(ignored(BERTH, &[(name, "")]), []);
    }
    let shop = ServiceName::new("my-shop");
    let variables = [
        ("MY-SHOP_SERVER_PORT", "1"),
        ("MY_SHOP_LOG_FILTER", "info"),
        ("BERTH_SERVER_PORT", "1"),
    ];
    let names: Vec<_> = ignored(shop, &variables)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["MY-SHOP_SERVER_PORT", "MY_SHOP_LOG_FILTER"]);
}

#[test]
fn what_others_set_is_no_mistake() {
    let foreign = [
        // Of a Service `berth` whose port is called `http`.
        ("BERTH_SERVICE_HOST", "10.0.0.1"),
        ("BERTH_SERVICE_PORT", "80"),
        ("BERTH_SERVICE_PORT_HTTP", "80"),
        ("BERTH_PORT", "tcp://10.0.0.1:80"),
        ("BERTH_PORT_8080_TCP", "tcp://10.0.0.1:80"),
        ("BERTH_PORT_8080_TCP_PROTO", "tcp"),
        ("BERTH_PORT_8080_TCP_PORT", "8080"),
        ("BERTH_PORT_8080_TCP_ADDR", "10.0.0.1"),
        // Of a Service `berth-server`, and of `berth-management`.
        ("BERTH_SERVER_SERVICE_HOST", "10.0.0.2"),
        ("BERTH_SERVER_SERVICE_PORT", "80"),
        ("BERTH_SERVER_PORT", "tcp://10.0.0.2:80"),
        ("BERTH_SERVER_PORT_80_TCP", "tcp://10.0.0.2:80"),
        ("BERTH_MANAGEMENT_SERVICE_HOST", "10.0.0.3"),
        ("BERTH_MANAGEMENT_PORT", "tcp://10.0.0.3:80"),
        ("BERTH_CONFIG", "/etc/berth.toml"),
        ("BERTH", "x"),
        ("BERTH_IMAGE", "berth:dev"),
        ("BERTH_URL", "http://berth"),
        ("BERTH_API_URL", "http://berth/api"),
        ("BERTHING_SERVER__PORT", "1"),
        ("SERVER__PORT", "1"),
        ("PORT", "1"),
        ("PATH", "/bin"),
    ];
    assert_eq!(ignored(BERTH, &foreign), []);
}

#[test]
fn what_is_ignored_is_told_beside_the_faults_without_its_value() {
    let variables = [("PORT", "x"), ("berth__server__port", "hunter2")];
    let text = faults(from_env(&variables)).to_string();
    assert_eq!(
        text,
        "1 fault in the settings:\n  server.port = \"x\" (environment variable PORT): must be a whole number from 0 \
         to 65535\n  the environment variable berth__server__port is ignored: did you mean BERTH__SERVER__PORT?"
    );
}
