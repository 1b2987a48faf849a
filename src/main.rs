//! The `konsil` binary: hands over to `konsil::cli`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    konsil::cli::run(std::env::args_os(), |options| konsil::app::serve::serve(&options))
}
