//! `weir key rotate`

use weir_model::key::MAX_OVERLAP_S;

use super::{Error, Output, applications, limits, obs};
use crate::cli::{ApiArgs, KeyRotateArgs};
use crate::nginx::Nginx;

pub(super) async fn run(args: &KeyRotateArgs, api: &ApiArgs, nginx: &Nginx) -> Result<Output, Error> {
    limits::check_at_most("--overlap", Some(args.overlap), MAX_OVERLAP_S)?;
    obs::check_free(args.file.key_file.as_deref())?;
    let answer = nginx.rotate_key(args.id, args.overlap.seconds()).await?;
    let port = applications::rtmp_port(nginx, answer.value.about.app.as_str()).await;
    obs::fresh_key(&answer, args.json.json, &args.server, api, port, args.file.key_file.as_deref())
}
