//! Arbitrary input to the entry of the same name.
#![no_main]

#[path = "../entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::run("tan", input));
