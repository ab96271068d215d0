//! The `weir` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir::run(std::env::args_os())
}
