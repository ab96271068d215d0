//! `weir target enable` and `weir target disable`

use super::{Error, Output};
use crate::cli::target::TargetIdArgs;
use crate::nginx::Nginx;

pub async fn run(args: &TargetIdArgs, enabled: bool, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.enable_target(&args.id.to_string(), enabled).await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let (done, now) = if enabled { ("Enabled", "whenever") } else { ("Disabled", "no more when") };
    Ok(format!("{done} {}; it is pushed to {now} its stream is live.\n", args.id).into())
}
