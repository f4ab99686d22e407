//! Which proxies are trusted.

use super::super::*;

const KEY: &str = "server.trusted_proxies";

fn proxies(text: &str) -> Result<Loaded, Error> {
    from_env(&[(&variable(KEY), text)])
}

#[test]
fn are_networks_and_addresses() {
    let loaded =
        proxies(r#"["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "0.0.0.0/0"]"#).unwrap();
    let rendered = r#"["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128", "0.0.0.0/0"]"#;
    assert_eq!(entry(&loaded, KEY).value, rendered);
    assert_eq!(loaded.settings.server.trusted_proxies.len(), 5);
    let file = from_file("a.yaml", "server:\n  trusted_proxies: ['10.0.0.0/8']\n").unwrap();
    assert_eq!(file.settings.server.trusted_proxies.len(), 1);
}

#[test]
fn a_mistake_is_told_with_what_to_write() {
    for (text, problem) in [
        (
            "10.0.0.0/8",
            "must be a list of networks or addresses, such as [\"10.0.0.0/8\", \"2001:db8::/32\"]",
        ),
        (
            r#"["10.0.0.0/33"]"#,
            "must be a list of networks or addresses, such as [\"10.0.0.0/8\", \"2001:db8::/32\"]; \"10.0.0.0/33\" is none",
        ),
        (
            r#"["10.1.2.3/8"]"#,
            "10.1.2.3/8 has bits behind its prefix: write 10.0.0.0/8 for the network, or 10.1.2.3 for the address",
        ),
        (
            r#"["::ffff:10.0.0.0/104"]"#,
            "::ffff:a00:0/104 is of IPv4: write it as such",
        ),
    ] {
        let faults = faults(proxies(text));
        assert_eq!(faults.len(), 1, "{text}");
        assert_eq!(
            faults[0]
                .problem
                .replace("::ffff:10.0.0.0/104", "::ffff:a00:0/104"),
            problem
        );
    }
    let many = format!("[{}]", "\"::1\", ".repeat(65));
    assert_eq!(
        faults(proxies(&many))[0].problem,
        "must have at most 64 networks"
    );
}

#[test]
fn their_protocol_needs_them() {
    let problem = "server.proxy_protocol = true: needs server.trusted_proxies: the networks of the proxies that \
                   send its headers; server.trusted_proxies = [] (built-in default)";
    assert_eq!(
        problems(from_env(&[("BERTH__SERVER__PROXY_PROTOCOL", "true")])),
        [problem]
    );
    assert!(alone("server.proxy_protocol", "true").is_ok());
    // A value that stands in for a faulty one contradicts nothing.
    let both = [
        ("BERTH__SERVER__PROXY_PROTOCOL", "true"),
        ("BERTH__SERVER__TRUSTED_PROXIES", "x"),
    ];
    assert_eq!(faults(from_env(&both)).len(), 1);
}
