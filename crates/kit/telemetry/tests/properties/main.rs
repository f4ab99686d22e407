//! Properties of what is logged.

mod laws;

use proptest::prelude::*;
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

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn nothing_logged_moves_a_cursor(
        text in prop_oneof![any::<String>(), "[\\PC\\pC\\\\u{}nrt]{0,40}", "[\u{0}-\u{ff}\u{2000}-\u{2070}]{0,60}"],
    ) {
        laws::escaped(&text);
    }
}
