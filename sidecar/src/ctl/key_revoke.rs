//! `weir key revoke`

use super::{Error, Output};
use crate::cli::KeyRevokeArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &KeyRevokeArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.revoke_key(args.id).await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let dropped = match answer.value.dropped {
        0 => "no publisher was using it".into(),
        1 => "its publisher was dropped".into(),
        n => format!("{n} publishers were dropped"),
    };
    Ok(format!("Revoked {}; {dropped}.\n", args.id).into())
}
