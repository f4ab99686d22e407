use super::*;

fn yaml(text: &str) -> Result<Layer, String> {
    parse(text, FileFormat::Yaml, &Origin::Default)
}

#[test]
fn flattens_to_leaves() {
    let text = "a:\n  b: 1\n  c: {d: 2}\ne:\n'f.g': 3\n1:\n  2: 4\n";
    let layer = yaml(text).unwrap();
    let keys: Vec<_> = layer.keys().map(String::as_str).collect();
    assert_eq!(keys, ["\"f.g\"", "1.2", "a.b", "a.c", "e"]);
}

#[test]
fn a_complaint_has_a_place_and_no_content() {
    let toml = |text| parse(text, FileFormat::Toml, &Origin::Default).unwrap_err();
    let complaint = toml("[server]\npassword = hunter2\n");
    assert!(
        complaint.starts_with("cannot be parsed: line 2, column 12: "),
        "{complaint}"
    );
    for complaint in [
        complaint,
        toml("a = 'hunter2"),
        toml("hunter2 = 1\nhunter2 = 1"),
        toml("a = [99999999999999999999, 'hunter2']"),
        yaml("a: 'hunter2").unwrap_err(),
        yaml("password: {hunter2").unwrap_err(),
        yaml("hunter2").unwrap_err(),
        yaml("- hunter2").unwrap_err(),
        yaml("{hunter2: 1}: 2").unwrap_err(),
        yaml("hunter2: 1\nhunter2: 2").unwrap_err(),
        yaml("a: hunter2: b").unwrap_err(),
    ] {
        assert!(
            !complaint.contains("hunter2") && !complaint.contains('\n'),
            "{complaint}"
        );
    }
    assert!(yaml("a: 1\n b: 2\n").unwrap_err().contains("line 2 column"));
    assert!(
        yaml("a: 1\na: 2\n")
            .unwrap_err()
            .contains("duplicate key in mapping at byte")
    );
}

#[test]
fn nothing_but_comments_is_no_fault() {
    for text in [
        "",
        "\n",
        "# x",
        "---\n",
        "---\n# x\n",
        "server:\n  # port: 1\n",
    ] {
        assert!(yaml(text).is_ok(), "{text}");
    }
}

#[test]
fn anchors_and_aliases_are_refused_wherever_they_take_effect() {
    for text in [
        "a: &x 1",
        "a: *x",
        "[*x]",
        "a: {b:*x}",
        "? &x a",
        "<<: *x",
        "a: [ \"#\", *x ]",
        "a: \"\n # \", *x",
        "# x\r*x",
        "a: 'it''s # '\nb: *x",
        "!t &x",
        "a: &\u{a0}",
    ] {
        assert!(yaml(text).unwrap_err().contains("anchors"), "{text}");
    }
    for text in [
        "a: R&D",
        "a: Tom & Jerry",
        "# the *effective* &value",
        "a: 1 # *x",
        "a: b*c",
        "a: 2 * 3",
    ] {
        assert!(yaml(text).is_ok(), "{text}");
    }
    assert!(yaml("a: 1\n# \0\n").unwrap_err().contains("NUL"));
}

#[test]
fn depth_and_size_are_bounded() {
    const SIZE: usize = 1 << 20;
    for pattern in [
        "- ", "? ", ": ", "-\t", "[", "{", "[a: ", "{? ", "- [", "a: ", "---\n", "\"", "&a ",
        "!a ", "%",
    ] {
        let _ = yaml(&pattern.repeat(SIZE / pattern.len() / 64));
    }
    assert!(
        yaml(&"- ".repeat(SIZE / 2))
            .unwrap_err()
            .contains("too deeply")
    );
    // As deep as it gets: every column opens two levels, then flow levels as far as they go.
    let mut deepest = String::new();
    for column in 0..64 {
        let indent = " ".repeat(column);
        deepest.extend([indent.as_str(), "a:\n", &indent, "-\n"]);
    }
    let _ = yaml(&format!(
        "{deepest}{}{}",
        " ".repeat(64),
        "[? {a: ".repeat(127)
    ));
    assert!(yaml(&format!("a: {}1{}", "{a: ".repeat(255), "}".repeat(255))).is_ok());
    let keys = format!("a: {}{}", "{[".repeat(127), "]}".repeat(127));
    assert!(yaml(&keys).is_err());
    let toml = |text: &str| parse(text, FileFormat::Toml, &Origin::Default);
    for pattern in ["[", "a.", "[[a]]\n", "a = {a = ", "a = [", "'", "\""] {
        let _ = toml(&pattern.repeat(SIZE / pattern.len() / 64));
        let _ = toml(&format!(
            "a = {}",
            pattern.repeat(SIZE / pattern.len() / 64)
        ));
        let _ = toml(&format!("[{}", pattern.repeat(SIZE / pattern.len() / 64)));
    }
}
