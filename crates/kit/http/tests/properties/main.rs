//! Properties of the parsers of what clients send.

mod laws;

use std::time::Duration;

use berth_kit_http::{QueryError, duration};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use url::form_urlencoded;

/// Names that are odd in one way or another.
const NAMES: [&str; 8] = ["", "a", "b", "name", "a b", "%", "&=+", "é\0"];

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

/// Text made of what means something to the parser, and of what does not.
fn soup(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => select(words).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(word, 0..20).prop_map(|words| words.concat())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), any::<String>(),]
}

/// A text, and one of the many ways to encode it.
fn spelled(text: impl Strategy<Value = String>) -> impl Strategy<Value = (String, String)> {
    text.prop_flat_map(|text| {
        let ways = prop::collection::vec(0..3, text.chars().count());
        (Just(text), ways).prop_map(|(text, ways)| {
            let mut encoded = String::new();
            for (c, way) in text.chars().zip(ways) {
                let mut utf8 = [0; 4];
                let bytes = c.encode_utf8(&mut utf8).bytes();
                match (c, way) {
                    (' ', 0) => encoded.push('+'),
                    ('%' | '&' | '=' | '+', 0) | (_, 1) => {
                        encoded.extend(bytes.map(|byte| format!("%{byte:02X}")));
                    }
                    (_, 0) => encoded.push(c),
                    _ => encoded.extend(bytes.map(|byte| format!("%{byte:02x}"))),
                }
            }
            (text, encoded)
        })
    })
}

const QUERY: &[&str] = &[
    "&",
    "=",
    "+",
    "%",
    "%2",
    "%25",
    "%26",
    "%3d",
    "%C3%A9",
    "%c3",
    "%A9",
    "%ff",
    "%EF%BF%BD",
    "%f0",
    "%ed%a0%80",
    "%00",
    "%zz",
    "%+1",
    "a",
    "name",
    "name=",
    "b=",
    "é",
    "\u{fffd}",
    "\0",
    "%/0",
    "%:0",
    "%@0",
    "%G0",
    "%`0",
    "%0g",
    "%0:",
];

const DURATION: &[&str] = &[
    "0",
    "1",
    "9",
    "30",
    "999",
    "18446744073709551615",
    "99999999999",
    ".",
    ".5",
    " ",
    "-",
    "+",
    "e",
    "ns",
    "us",
    "µs",
    "ms",
    "s",
    "sec",
    "m",
    "min",
    "h",
    "d",
    "w",
    "M",
    "month",
    "y",
    "years",
];

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_query_is_read_as_others_read_it_or_refused(
        text in prop_oneof![soup(QUERY), any::<String>()],
    ) {
        laws::query(&text);
    }

    #[test]
    fn what_is_encoded_comes_back(pairs in prop::collection::vec((name(), any::<String>()), 0..6)) {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(&pairs);
        laws::query_round_trip(&encoded.finish(), &pairs);
    }

    #[test]
    fn every_spelling_of_a_query_is_read(
        pairs in prop::collection::vec((spelled(name()), spelled(any::<String>()), "&?"), 0..6),
    ) {
        let encoded: Vec<_> = pairs
            .iter()
            .map(|((_, name), (_, value), more)| format!("{name}={value}{more}"))
            .collect();
        let pairs: Vec<_> = pairs.into_iter().map(|((name, _), (value, _), _)| (name, value)).collect();
        laws::query_round_trip(&encoded.join("&"), &pairs);
    }

    #[test]
    fn a_broken_percent_is_refused_wherever_it_stands(
        before in spelled(any::<String>()),
        after in "([/:@G`g]|[^%0-9A-Fa-f].*)?",
        broken in "%[0-9A-Fa-f]?",
    ) {
        let text = format!("{}{broken}{after}", before.1);
        prop_assert_eq!(laws::read(&text), Err(QueryError::Percent));
    }

    #[test]
    fn any_text_is_a_duration_or_is_not(text in prop_oneof![soup(DURATION), any::<String>()]) {
        laws::duration_text(&text);
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts(
        minutes in 0..1000_u64,
        seconds in 0..1000_u64,
        millis in 0..1000_u64,
    ) {
        let text = format!("{minutes}m{seconds}s{millis}ms");
        let sum = Duration::from_millis((minutes * 60 + seconds) * 1000 + millis);
        prop_assert_eq!(duration::parse(&text), Some(sum));
    }

    #[test]
    fn any_duration_is_one_word(secs in prop_oneof![any::<u64>(), 0..1_000_000_u64], nanos in 0..1_000_000_000_u32) {
        laws::duration_value(Duration::new(secs, nanos));
        laws::duration_value(Duration::from_millis(secs >> 24));
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[ -~\t]{0,200}".prop_map(String::into_bytes),
    ]
}

/// A header's value of the grammar, in whose ids there may be nothing but zeros.
fn valid_traceparent() -> impl Strategy<Value = String> {
    let version = prop_oneof![Just("00".to_owned()), "[0-9a-f]{2}"];
    let trace_id = prop_oneof![4 => "[0-9a-f]{32}", 1 => "0{31}[01]"];
    let parent_id = prop_oneof![4 => "[0-9a-f]{16}", 1 => "0{15}[01]"];
    let more = prop_oneof![Just(String::new()), "-[ -~]{0,20}"];
    (version, trace_id, parent_id, "[0-9a-f]{2}", more).prop_map(
        |(version, trace_id, parent_id, flags, more)| {
            let more = if version == "00" { "" } else { &more };
            format!("{version}-{trace_id}-{parent_id}-{flags}{more}")
        },
    )
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_request_id_is_the_clients_or_ours(values in prop::collection::vec(bytes(), 0..3)) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        laws::request_id(&values);
    }

    #[test]
    fn a_sane_request_id_is_kept(id in "[0-9A-Za-z_.:+/=@-]{1,140}", at in any::<Index>(), wrong in any::<u8>()) {
        let mut id = id.into_bytes();
        laws::request_id(&[&id]);
        let at = at.index(id.len());
        id[at] = wrong;
        laws::request_id(&[&id]);
    }

    #[test]
    fn any_bytes_are_a_traceparent_or_are_not(values in prop::collection::vec(bytes(), 0..3)) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        laws::traceparent(&values);
    }

    #[test]
    fn a_traceparent_gives_its_trace_id_and_no_other(
        value in valid_traceparent(),
        at in any::<Index>(),
        wrong in prop_oneof![any::<u8>(), select(&b"0123456789abcdefABCDEFg- "[..])],
        change in 0..4,
    ) {
        let mut value = value.into_bytes();
        laws::traceparent(&[&value]);
        laws::traceparent(&[&value, &value]);
        let at = at.index(value.len());
        match change {
            0 => value[at] = wrong,
            1 => value.insert(at, wrong),
            2 => value.extend(b"-01"),
            _ => drop(value.remove(at)),
        }
        laws::traceparent(&[&value]);
    }
}
