//! `weir target enable` and `weir target disable`

use super::{Error, Output};
use crate::cli::target::TargetIdArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &TargetIdArgs, enabled: bool, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.enable_target(&args.id.to_string(), enabled).await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let id = &args.id;
    let text = if enabled {
        format!("Enabled {id}; its stream is pushed there while it is live.\n")
    } else {
        format!("Disabled {id}; its stream is no longer pushed there.\n")
    };
    Ok(text.into())
}
