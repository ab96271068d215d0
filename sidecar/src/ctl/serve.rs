//! `weir serve`

use super::{Error, Output};
use crate::cli::daemon::ServeArgs;
use crate::{config, daemon};

pub fn run(args: &ServeArgs) -> Result<Output, Error> {
    if args.check {
        let rules = config::load(&args.config).map_err(daemon::Error::from)?.rules.len();
        return Ok(format!("{}: good, {rules} rules\n", args.config.display()).into());
    }
    super::runtime()?.block_on(daemon::run(&args.config))?;
    Ok(Output::default())
}
