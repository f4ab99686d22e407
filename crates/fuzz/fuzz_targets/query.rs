#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| berth_fuzz::query(text));
