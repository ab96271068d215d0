//! `weir key rotate`

use super::{Error, Output, obs};
use crate::cli::{ApiArgs, KeyRotateArgs};
use crate::nginx::Nginx;

pub(super) async fn run(args: &KeyRotateArgs, api: &ApiArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.rotate_key(args.id, args.overlap.seconds()).await?;
    Ok(obs::fresh_key(&answer, args.json.json, &args.server, api))
}
