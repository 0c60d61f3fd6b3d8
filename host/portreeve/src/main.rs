//! The `portreeve` binary: parses, runs, and turns an error into one message on
//! stderr and an exit code (0 done, 1 failed, 2 bad usage).

use std::process::ExitCode;

use clap::Parser;
use portreeve::command::{self, BadUsage, CommandLine};

/// As the parser ends with it.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match command::run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::report(&error);
            if error.is::<BadUsage>() { ExitCode::from(BAD_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
