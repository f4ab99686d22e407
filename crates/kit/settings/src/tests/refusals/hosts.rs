//! `management.host` and `management.allowed_hosts`.

use super::super::*;

#[test]
fn names_of_the_management_port_are_names_without_ports() {
    let allowed = |text| from_env(&[("BERTH__MANAGEMENT__ALLOWED_HOSTS", text)]);
    let loaded = allowed(r#"["Metrics.Example.com.", ".prod.test", "10.0.0.1"]"#).unwrap();
    assert_eq!(
        loaded.settings.management.allowed_hosts,
        ["metrics.example.com", ".prod.test", "10.0.0.1"]
    );
    for (text, quoted) in [
        (r#"["a.example:9090"]"#, r#"; "a.example:9090" is none"#),
        (r#"["."]"#, r#"; "." is none"#),
        (r#"["..example"]"#, r#"; "..example" is none"#),
        (r#"["*.example"]"#, r#"; "*.example" is none"#),
        (r#"["http://me:hunter2@a.example"]"#, ""),
        ("a.example", ""),
        ("[1]", ""),
    ] {
        let problem = format!(
            "must be a list of host names without ports, such as [\"metrics.example.com\", \
             \".prod.example.com\"]{quoted}"
        );
        let faults = faults(allowed(text));
        assert_eq!(faults[0].problem, problem, "{text}");
        assert_eq!(faults.len(), 1);
        assert!(!faults.to_string().contains("hunter2"));
    }
    let many = |count: usize| format!("[{}]", vec!["'a'"; count].join(", "));
    assert!(from_file("a.toml", format!("management.allowed_hosts = {}", many(64))).is_ok());
    let more = from_file("a.toml", format!("management.allowed_hosts = {}", many(65)));
    assert!(problems(more)[0].ends_with("must have at most 64 names"));
}
