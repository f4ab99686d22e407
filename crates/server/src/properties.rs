//! Properties of what is taken from a client's headers and of what is logged of them.

mod laws;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

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

const HEAD_TOKENS: [&str; 10] = [
    "GET / HTTP/1.1",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "a: b",
    "a",
    " ",
    ":",
    "\0",
];

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

    #[test]
    fn a_head_ends_where_actix_says(
        tokens in prop::collection::vec(select(&HEAD_TOKENS[..]), 0..16),
        cuts in prop::collection::vec(0..40_usize, 0..4),
    ) {
        laws::head(tokens.concat().as_bytes(), &cuts);
        let head = format!("GET / HTTP/1.1\r\nHost: t{}", tokens.concat());
        laws::head(head.as_bytes(), &cuts);
    }

    #[test]
    fn nothing_logged_moves_a_cursor(
        text in prop_oneof![any::<String>(), "[\\PC\\pC\\\\u{}nrt]{0,40}", "[\u{0}-\u{ff}\u{2000}-\u{2070}]{0,60}"],
    ) {
        laws::escaped(&text);
    }
}
