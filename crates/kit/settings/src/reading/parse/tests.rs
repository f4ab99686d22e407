use super::*;

fn raw(text: &str) -> Raw {
    Raw::Text(text.into())
}

#[test]
fn durations_are_read_and_bounded() {
    let range = Duration::from_millis(1)..=Duration::from_hours(1);
    let parse = |text| duration(&raw(text), range.clone());
    for (text, millis) in [
        ("1ms", 1),
        ("5s", 5000),
        ("1m 30s", 90_000),
        ("1m30s", 90_000),
        ("0.5s", 500),
        ("1h", 3_600_000),
        (" 1 s ", 1000),
    ] {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in [
        "",
        " ",
        "s",
        "0",
        "-1s",
        "1",
        "1.5",
        "1 30s",
        "999us",
        "3600001ms",
        "1h 1ns",
        "1x",
        "5s;",
        "½s",
        "1e3s",
        "18446744073709551615s 1000ms",
        "584542046090y 5s 1000ms",
        "99999999999999999999s",
    ] {
        let problem = parse(text).unwrap_err();
        assert!(
            problem.starts_with("must be a duration from 1ms to 1h"),
            "{text}: {problem}"
        );
        assert_eq!(
            problem.contains("write a unit"),
            matches!(text, "0" | "1" | "1.5"),
            "{text}"
        );
    }
    let _ = parse(&"9y".repeat(1 << 16));
}

#[test]
fn hosts() {
    let long = ["a".repeat(63).as_str(); 4].join(".");
    for text in [
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "localhost",
        "a",
        "a-b.example.",
        "my_host",
        "1a",
        long[2..].as_ref(),
    ] {
        assert_eq!(host(&raw(text)).as_deref(), Ok(text));
    }
    for text in [
        "",
        " ",
        ".",
        "..",
        "a..b",
        "a b",
        "a\n",
        "[::1]",
        "a:80",
        "1.2.3.4:80",
        "256.0.0.1",
        "1.2.3",
        "80",
        "-a",
        "a-",
        "é",
        "http://a",
        "a/b",
        "*",
        &long,
    ] {
        assert!(host(&raw(text)).is_err(), "{text}");
    }
}

#[test]
fn metrics_paths() {
    for text in [
        "/m",
        "/metrics",
        "/a/b",
        "/a.b_c~d-e",
        "/...",
        "/debugger",
        "/healthy",
        "/api/v1",
    ] {
        assert_eq!(metrics_path(&raw(text)).as_deref(), Ok(text));
    }
    assert!(metrics_path(&raw(&format!("/{}", "a".repeat(127)))).is_ok());
    for text in [
        "",
        "/",
        "m",
        "//",
        "/a/",
        "/a//b",
        "/.",
        "/a/../b",
        "/./a",
        "/a?b",
        "/a b",
        "/{a}",
        "/%61",
        "/é",
        &format!("/{}", "a".repeat(128)),
    ] {
        assert!(
            metrics_path(&raw(text))
                .unwrap_err()
                .starts_with("must start with"),
            "{text}"
        );
    }
}

#[test]
fn labels() {
    for text in ["a", " ", "é", &"é".repeat(64)] {
        assert_eq!(label(&raw(text)).as_deref(), Ok(text));
    }
    for text in ["", "a\nb", "\u{7f}", "\u{85}", &"a".repeat(65)] {
        assert!(label(&raw(text)).is_err(), "{text}");
    }
}

#[test]
fn environment_numbers_and_bools_are_exact() {
    let parse = |text| integer::<u16>(&raw(text), 0..=65_535);
    assert_eq!(parse("0080"), Ok(80));
    for text in [
        "",
        " 80",
        "+80",
        "-1",
        "8_0",
        "0x50",
        "80.0",
        "65536",
        "9999999999999999999999",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    for text in ["", "True", "1", "yes", " true"] {
        assert!(boolean(&raw(text)).is_err(), "{text}");
    }
}
