//! `weir target remove`

use super::{Error, Output};
use crate::cli::target::TargetIdArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &TargetIdArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.remove_target(args.id).await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    Ok(format!("Removed {}; any running push was stopped.\n", args.id).into())
}
