//! The `konsil` binary: hands over to `konsil::cli`.
#![forbid(unsafe_code)]

fn main() {}
