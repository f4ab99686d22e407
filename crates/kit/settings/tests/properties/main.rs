//! Properties of the settings: whatever they are read from, they hold or every fault is told.

mod generate;
mod laws;
mod values;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use berth_kit_settings::{Fault, Settings};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use generate::{good_sets, sets};
use laws::{BERTH, Desk, KEYS, VERSION, faults, variable};
use values::{Good, STYLES, Set, Style, Value, layers};

/// The same cases every time, so that a failure is there again at the next run. The environment may
/// ask for others: `PROPTEST_RNG_SEED=7 PROPTEST_CASES=100000`.
fn cases(usual: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(usual, |_| given.cases);
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        seed @ RngSeed::Fixed(_) => seed,
    };
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        ..given
    }
}

/// The settings that the good ones make, and the keys that have a fault.
fn expected(sets: &[Set]) -> (Settings, BTreeSet<String>) {
    let mut settings = Settings::default();
    BERTH.as_str().clone_into(&mut settings.app.name);
    VERSION.clone_into(&mut settings.app.version);
    let mut faulty = BTreeSet::new();
    for (key, set) in KEYS.iter().zip(sets) {
        match set {
            Set::Not => {}
            Set::Good(good) | Set::GoodVariable(good) | Set::Covered(_, good) => {
                good.put(key, &mut settings);
            }
            Set::Bad(_) | Set::BadVariable(_) => drop(faulty.insert((*key).to_owned())),
        }
    }
    let is_sound = |key: &str| !faulty.contains(key);
    let shutdown = &settings.shutdown;
    let drain = shutdown.drain_delay + shutdown.timeout;
    let too_long = shutdown.grace_period.is_some_and(|grace| drain > grace)
        && is_sound("shutdown.drain_delay")
        && is_sound("shutdown.timeout");
    let one_port = settings.management.port == Some(settings.server.port)
        && settings.server.port != 0
        && is_sound("server.port");
    let no_proxies = settings.server.proxy_protocol
        && settings.server.trusted_proxies.is_empty()
        && is_sound("server.trusted_proxies");
    if too_long {
        faulty.insert("shutdown.grace_period".to_owned());
    }
    if no_proxies {
        faulty.insert("server.proxy_protocol".to_owned());
    }
    if one_port {
        faulty.insert("management.port".to_owned());
    }
    (settings, faulty)
}

/// Loads what `sets` say, written in `style`, and finds it as it must be.
fn check(desk: &Desk, style: Style, sets: &[Set], unknown: &[(usize, String, bool)]) {
    let (mut leaves, mut environment) = layers(sets);
    let (settings, mut wrong) = expected(sets);
    for (section, name, in_file) in unknown {
        let (section, _) = KEYS[*section].split_once('.').expect("a key has a section");
        wrong.insert(format!("{section}.{name}"));
        if *in_file {
            leaves.push((section.to_owned(), name.clone(), Value::Bool(true)));
        } else {
            environment.push((variable(&format!("{section}.{name}")).into(), "x".into()));
        }
    }
    let text = style.write(&leaves);
    let result = desk.load(Some((style.file(), text.as_bytes())), &environment);
    desk.well_said(&result);
    let faults = faults(&result);
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.clone()).collect();
    assert_eq!(
        keys,
        Vec::from_iter(wrong),
        "{faults:#?}\n{text}\n{environment:?}"
    );
    let Ok(mut loaded) = result else { return };
    let checks = std::mem::take(&mut loaded.settings.readiness.checks);
    assert_eq!(loaded.settings, settings, "{text}\n{environment:?}");
    let good = |set: &Set| match set {
        Set::Good(Good::Checks(good))
        | Set::GoodVariable(Good::Checks(good))
        | Set::Covered(_, Good::Checks(good)) => Some(good.clone()),
        _ => None,
    };
    let good = sets.iter().find_map(good).unwrap_or_default();
    assert_eq!(checks.len(), good.len(), "{text}\n{environment:?}");
    for (good, check) in good.iter().zip(&checks) {
        assert!(good.is(check), "{good:?} became {check:?}");
    }
}

/// What means something to TOML, to YAML or to us.
const WORDS: &[&str] = &[
    "server",
    "port",
    "[server]\n",
    "server:\n",
    "  port: ",
    "readiness",
    "checks",
    "[[readiness.checks]]\n",
    "log",
    "shutdown.grace_period",
    ".",
    "=",
    " = ",
    ":",
    ": ",
    "- ",
    "? ",
    "\n",
    "\n  ",
    "\r\n",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "'",
    "\"",
    "\"\"\"",
    "'''",
    "\\",
    "\\u",
    "&a ",
    "*a",
    "!",
    "!!int ",
    "!!str ",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    "null",
    "<<: ",
    "0",
    "1",
    "-1",
    "8080",
    "1e999",
    "-0.0",
    ".inf",
    "nan",
    "0x7f",
    "1_0",
    "99999999999999999999",
    "1979-05-27T07:32:00Z",
    "5s",
    "\"5s\"",
    "true",
    "\u{feff}",
    "\0",
    "\u{2028}",
    "\u{202e}",
    "\u{85}",
    "é",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(WORDS).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (select(WORDS), 2..300_usize).prop_map(|(word, times)| word.repeat(times)),
    ]
}

/// Text of words that mean something, and of some that do not.
fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..20).prop_map(|words| words.concat())
}

/// A value with values in it.
fn nested() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nothing),
        any::<String>().prop_map(Value::Text),
        any::<i64>().prop_map(Value::Whole),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
    ];
    let name = prop_oneof![
        select(vec!["name", "url", "interval", "status"]).prop_map(str::to_owned),
        any::<String>()
    ];
    leaf.prop_recursive(6, 24, 4, move |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec((name.clone(), value), 0..4).prop_map(Value::Table),
        ]
    })
}

/// Settings with values of any type and depth at any key, and then some slips of the pen.
fn nearly_valid() -> impl Strategy<Value = (Style, String)> {
    let odd = prop::collection::vec((0..KEYS.len(), nested()), 0..4);
    let slips = prop::collection::vec(
        (
            any::<Index>(),
            0..4_usize,
            prop_oneof![Just(String::new()), word()],
        ),
        0..3,
    );
    (sets(), odd, slips, select(&STYLES[..])).prop_map(|(sets, odd, slips, style)| {
        let (mut leaves, _) = layers(&sets);
        for (key, value) in odd {
            let (section, name) = KEYS[key].split_once('.').expect("a key has a section");
            leaves.retain(|(s, n, _)| s != section || n != name);
            leaves.push((section.to_owned(), name.to_owned(), value));
        }
        let mut text: Vec<char> = style.write(&leaves).chars().collect();
        for (at, removed, inserted) in slips {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, inserted.chars());
        }
        (style, text.into_iter().collect())
    })
}

/// A variable whose name is ours, nearly ours or anything.
fn any_variable() -> impl Strategy<Value = (OsString, OsString)> {
    let bytes = || any::<Vec<u8>>().prop_map(OsString::from_vec);
    let text = || any::<String>().prop_map(OsString::from);
    let ours = select(&KEYS[..]).prop_flat_map(|key| {
        let good = generate::good(key).prop_map(|good| good.in_variable());
        (
            Just(OsString::from(variable(key))),
            prop_oneof![good, generate::bad_variable(key)],
        )
    });
    let name = prop_oneof![
        select(vec!["PORT", "ENVIRONMENT", "APP_NAME", "VERSION"]).prop_map(OsString::from),
        "BERTH__(SERVER|LOG|readiness|X)?(__)?[A-Za-z_.\\[\\]\"]{0,9}".prop_map(OsString::from),
        "BERTH__[A-D]{1,2}[a-b.é]{78,80}".prop_map(OsString::from),
        any::<Vec<u8>>().prop_map(|bytes| OsString::from_vec([b"BERTH__", &bytes[..]].concat())),
        bytes(),
    ];
    let value = prop_oneof![
        bytes(),
        text(),
        soup().prop_map(OsString::from),
        nested().prop_map(|value| value.write(" = ").into()),
    ];
    prop_oneof![ours, (name, value)]
}

proptest! {
    // Debug builds take some milliseconds to load settings once.
    #![proptest_config(cases(64))]

    #[test]
    fn any_file_gives_settings_or_every_fault(
        name in select(vec!["a.toml", "a.yaml"]),
        text in prop_oneof![
            3 => soup().prop_map(String::into_bytes),
            1 => any::<String>().prop_map(String::into_bytes),
            1 => any::<Vec<u8>>(),
        ],
    ) {
        Desk::new().file(name, &text);
    }

    #[test]
    fn a_nearly_valid_file_gives_settings_or_every_fault((style, text) in nearly_valid()) {
        Desk::new().file(style.file(), text.as_bytes());
    }

    #[test]
    fn any_environment_gives_settings_or_every_fault(
        variables in prop::collection::vec(any_variable(), 0..5),
    ) {
        Desk::new().environment(&variables);
    }

    #[test]
    fn good_values_of_any_keys_are_loaded_as_they_are(
        sets in good_sets(),
        style in select(&STYLES[..]),
    ) {
        check(&Desk::new(), style, &sets, &[]);
    }

    #[test]
    fn every_bad_value_is_a_fault_and_nothing_else_is(
        sets in sets(),
        style in select(&STYLES[..]),
        unknown in prop::collection::btree_map("zz[a-z]{1,9}", (0..KEYS.len(), any::<bool>()), 0..3),
    ) {
        let unknown: Vec<_> = unknown
            .into_iter()
            .map(|(name, (section, in_file))| (section, name, in_file))
            .collect();
        check(&Desk::new(), style, &sets, &unknown);
    }

    #[test]
    fn every_fault_of_every_check_is_told(
        bad in prop::collection::vec(
            prop::collection::btree_map(select(&CHECK[..]), any::<bool>(), 0..CHECK.len()),
            0..5,
        ),
        style in select(&STYLES[..]),
    ) {
        let mut expected = Vec::new();
        let mut checks = Vec::new();
        for (index, keys) in bad.iter().enumerate() {
            let mut check = vec![
                ("name".to_owned(), Value::Text(format!("c{index}"))),
                ("url".to_owned(), Value::Text("tcp://a:1".to_owned())),
            ];
            for (key, as_table) in keys {
                expected.push(format!("readiness.checks[{index}].{key}"));
                check.retain(|(known, _)| known != key);
                let value = if *as_table { Value::Table(Vec::new()) } else { Value::Text("?".to_owned()) };
                check.push(((*key).to_owned(), value));
            }
            checks.push(Value::Table(check));
        }
        let text = style.write(&[("readiness".to_owned(), "checks".to_owned(), Value::List(checks))]);
        let result = Desk::new().load(Some((style.file(), text.as_bytes())), &[]);
        let keys: Vec<String> = faults(&result).into_iter().map(|Fault { key, .. }| key).collect();
        expected.sort();
        prop_assert_eq!(keys, expected);
    }
}

/// The keys of a check, and one that none has.
const CHECK: [&str; 9] = [
    "name",
    "url",
    "interval",
    "timeout",
    "failure_threshold",
    "success_threshold",
    "required",
    "status",
    "zz",
];

/// Names that differ are told apart, however alike they look once they are shown.
#[test]
fn unknown_names_that_look_alike_are_all_told() {
    let long = "A".repeat(80);
    for (one, other) in [
        ("A.B".to_owned(), "a.b".to_owned()),
        (format!("{long}A"), format!("{long}B")),
    ] {
        let variables = [one, other].map(|name| (format!("BERTH__{name}").into(), "x".into()));
        Desk::new().environment(&variables);
        assert_eq!(faults(&Desk::new().load(None, &variables)).len(), 2);
    }
    let text = format!("{long}a = 1\n{long}b = 1\n");
    let result = Desk::new().load(Some(("a.toml", text.as_bytes())), &[]);
    assert_eq!(faults(&result).len(), 2);
}
