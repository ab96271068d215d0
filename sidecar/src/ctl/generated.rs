//! `weir completions` and `weir man`, made from the definitions in [`crate::cli`].

use clap::CommandFactory;

use super::{Error, Output};
use crate::cli::{Cli, CompletionsArgs, ManArgs};

pub fn completions(args: &CompletionsArgs) -> Output {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "weir", &mut script);
    String::from_utf8_lossy(&script).into_owned().into()
}

pub fn man(args: &ManArgs) -> Result<Output, Error> {
    let failed = |e| Error::file(&args.dir, e);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    Ok(Output::default())
}
