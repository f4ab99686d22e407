#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| berth_fuzz::log_escaping(text));
