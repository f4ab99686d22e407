//! A section's values are of their types, as the kit's own are.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Types {
    whole: u32,
    small: i8,
    large: u64,
    fraction: f64,
    flag: bool,
    text: String,
    list: Vec<u16>,
    pair: (u8, bool),
    table: BTreeMap<String, u16>,
    by_number: BTreeMap<u16, bool>,
    maybe: Option<u8>,
    choice: Choice,
    unit: Unit,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Choice {
    #[default]
    None,
    Some(u8),
    Both {
        left: u8,
        right: bool,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
struct Unit(u8);

struct Own(Types);

impl ServiceSettings for Own {
    fn read(_: Settings, sections: &mut Sections<'_>) -> Self {
        Self(sections.take("types"))
    }
}

/// Reads a line of the section in a file, or a variable of it.
fn of(toml: Option<&str>, variable: Option<(&str, &str)>) -> Result<Types, String> {
    let mut sources = Sources::new(BERTH, VERSION);
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    if let Some(line) = toml {
        std::fs::write(file.path(), format!("[types]\n{line}\n")).unwrap();
        sources.file = Some(file.path().to_owned());
    }
    if let Some((key, value)) = variable {
        let name = BERTH.variable(&format!("types.{key}"));
        sources.environment.push((name.into(), value.into()));
    }
    match load_as::<Own>(&sources) {
        Ok((_, Own(types))) => Ok(types),
        Err(Error::Invalid(faults)) => {
            assert_eq!(faults.len(), 1, "{faults}");
            Err(faults[0].problem.clone())
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_file_tells_types_and_none_is_taken_for_another() {
    for (line, problem) in [
        ("whole = 2.5", "must be a whole number from 0 to 4294967295"),
        ("whole = 2.0", "must be a whole number from 0 to 4294967295"),
        (
            "whole = '2'",
            "must be a whole number from 0 to 4294967295, without quotes",
        ),
        (
            "whole = true",
            "must be a whole number from 0 to 4294967295",
        ),
        ("whole = -1", "must be a whole number from 0 to 4294967295"),
        ("small = 128", "must be a whole number from -128 to 127"),
        (
            "large = -1",
            "must be a whole number from 0 to 18446744073709551615",
        ),
        ("flag = 'on'", "must be true or false"),
        ("flag = 'yes'", "must be true or false"),
        ("flag = 'true'", "must be true or false, without quotes"),
        ("flag = 1", "must be true or false"),
        ("flag = [true]", "must be true or false, not a list"),
        ("fraction = '2.5'", "must be a number, without quotes"),
        ("fraction = true", "must be a number"),
        ("text = 2", "must be text, in quotes"),
        ("text = true", "must be text, in quotes"),
        ("list = 2", "must be a list"),
        ("table = 2", "must be a table"),
        ("table = []", "must be a table, not a list"),
        ("maybe = 256", "must be a whole number from 0 to 255"),
        ("choice = 2", "must be text, in quotes"),
        ("unit = 2.5", "must be a whole number from 0 to 255"),
    ] {
        assert_eq!(of(Some(line), None), Err(problem.to_owned()), "{line}");
    }
    // In lists and tables, too.
    for line in [
        "list = [1, 2.5]",
        "list = ['1']",
        "pair = [1, 'on']",
        "pair = [1, true, 2]",
        "table = { a = 2.5 }",
        "by_number = { a = true }",
        "by_number = { 1 = 1 }",
        "choice = { some = 2.5 }",
        "choice = { both = { left = 1, right = 1 } }",
        "choice = 'other'",
        "choice = 'some'",
    ] {
        of(Some(line), None).expect_err(line);
    }
}

#[test]
fn what_is_of_its_type_is_taken() {
    let lines = "
        whole = 4294967295
        small = -128
        large = 9223372036854775807
        fraction = 2
        flag = true
        text = '2'
        list = [1, 65535]
        pair = [1, true]
        table = { a = 1 }
        by_number = { 1 = true }
        maybe = 255
        choice = { both = { left = 1, right = true } }
        unit = 2
    ";
    let expected = Types {
        whole: u32::MAX,
        small: -128,
        large: i64::MAX.cast_unsigned(),
        fraction: 2.0,
        flag: true,
        text: "2".to_owned(),
        list: vec![1, 65535],
        pair: (1, true),
        table: [("a".to_owned(), 1)].into(),
        by_number: [(1, true)].into(),
        maybe: Some(255),
        choice: Choice::Both {
            left: 1,
            right: true,
        },
        unit: Unit(2),
    };
    assert_eq!(of(Some(lines), None), Ok(expected));
    let choice = of(Some("choice = { some = 2 }"), None).unwrap().choice;
    assert_eq!(choice, Choice::Some(2));
    assert_eq!(
        of(Some("fraction = 2.5"), None)
            .unwrap()
            .fraction
            .to_string(),
        "2.5"
    );
}

#[test]
fn a_variable_is_text_that_is_read_as_the_kits_own_are() {
    let number = "must be a whole number from 0 to 4294967295";
    for (key, value, problem) in [
        ("whole", "2.5", number),
        ("whole", "+2", number),
        ("whole", " 2", number),
        ("whole", "-1", number),
        ("whole", "-", number),
        ("whole", " ", number),
        ("flag", "on", "must be true or false"),
        ("flag", "1", "must be true or false"),
        ("flag", "TRUE", "must be true or false"),
        ("fraction", "inf", "must be a number"),
        ("fraction", "x", "must be a number"),
        ("list", "2", "must be a list"),
    ] {
        let read = of(None, Some((key, value)));
        assert_eq!(read, Err(problem.to_owned()), "{key} = {value:?}");
    }
    for (key, value) in [
        ("list", "[1, 2.5]"),
        ("list", r#"["1"]"#),
        ("table", r#"{"a": true}"#),
        ("table", "{1"),
    ] {
        of(None, Some((key, value))).expect_err(value);
    }
    // Empty is unset, also of what could be empty text: that is the file's to say.
    let unset = of(Some("whole = 7\ntext = \"x\""), Some(("text", ""))).unwrap();
    assert_eq!((unset.whole, &*unset.text), (7, "x"));
    assert!(of(None, Some(("whole", ""))).is_ok());
    for (key, value, line) in [
        ("whole", "7", "whole = 7"),
        ("small", "-7", "small = -7"),
        ("fraction", "2.5", "fraction = 2.5"),
        ("flag", "true", "flag = true"),
        ("text", "true", "text = 'true'"),
        ("maybe", "7", "maybe = 7"),
        ("choice", "none", "choice = 'none'"),
        ("choice", r#"{"some": 7}"#, "choice = { some = 7 }"),
        ("list", "[7, 8]", "list = [7, 8]"),
        ("table", r#"{"a": 7}"#, "table = { a = 7 }"),
        ("unit", "7", "unit = 7"),
    ] {
        let read = of(None, Some((key, value)));
        assert_eq!(read, of(Some(line), None), "{key} = {value:?}");
        read.unwrap();
    }
    let large = of(None, Some(("large", "18446744073709551615")))
        .unwrap()
        .large;
    assert_eq!(large, u64::MAX);
}
