#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| audit::fuzz::leaves(data));
