//! `weir completions`, generated from the definitions in [`crate::cli`].

use clap::CommandFactory;

use super::Output;
use crate::cli::{Cli, CompletionsArgs};

pub(super) fn completions(args: &CompletionsArgs) -> Output {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "weir", &mut script);
    String::from_utf8_lossy(&script).into_owned().into()
}
