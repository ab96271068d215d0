//! `weir key add`

use weir_model::key::NewKey;

use super::applications::{self, Made};
use super::{Error, Output, now, obs};
use crate::cli::{ApiArgs, KeyAddArgs};
use crate::nginx::Nginx;

pub(super) async fn run(args: &KeyAddArgs, api: &ApiArgs, nginx: &Nginx) -> Result<Output, Error> {
    let key = NewKey {
        app: args.app.clone(),
        stream: args.stream.clone(),
        server: args.block.server_block.clone(),
        note: args.note.clone().unwrap_or_default(),
        expires_at: args.expires.map(|expiry| expiry.at(now())),
        publish_from: args.from.clone(),
    };
    obs::check_free(args.file.key_file.as_deref())?;
    let answer = nginx.create_key(&key).await?;
    let port = applications::rtmp_port(nginx, args.app.as_str()).await;
    let mut output =
        obs::fresh_key(&answer, args.json.json, &args.server, api, port, args.file.key_file.as_deref())?;
    output.stderr += &applications::warning(nginx, args.app.as_str(), Made::Key, args.json.json).await;
    Ok(output)
}
