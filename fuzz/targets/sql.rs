#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clover_fuzz::sql::inputs(data));
