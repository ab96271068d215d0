//! `weir check`

use std::time::Duration;

use super::{Error, Output, runtime};
use crate::cli::ApiArgs;
use crate::cli::CheckCommand;
use crate::cli::values::Span;
use crate::health;
use crate::nginx::Nginx;

/// Without `--stream`, and with it: a player gets its first picture with the next key frame.
const RTMP_LIMITS: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(3));

pub fn run(command: &CheckCommand, api: &ApiArgs) -> Result<Output, Error> {
    let runtime = runtime()?;
    let found = runtime.block_on(look(command, api));
    // A name's resolution or a disk's answer that takes too long is in a thread that nobody waits for.
    runtime.shutdown_background();
    found.map(|line| format!("{line}\n").into())
}

async fn look(command: &CheckCommand, api: &ApiArgs) -> Result<String, Error> {
    let found = match command {
        CheckCommand::Rtmp(args) => {
            let (url, stream) = (&args.url.0, args.stream.as_deref());
            let default = if stream.is_none() { RTMP_LIMITS.0 } else { RTMP_LIMITS.1 };
            let limit = args.timeout.map_or(default, |limit| limit.0);
            health::check(&url.tc_url(), limit, async |step| health::rtmp(step, url, stream).await).await
        }
        CheckCommand::Http(args) => {
            let (url, limit) = (&args.url, args.timeout.0);
            health::check(&url.to_string(), limit, async |step| health::http(step, url, args.status).await)
                .await
        }
        CheckCommand::Hls(args) => {
            let (url, limit, max_age) = (&args.url, args.timeout.0, args.max_age.map(|span: Span| span.0));
            health::check(&url.to_string(), limit, async |step| health::hls(step, url, max_age).await).await
        }
        CheckCommand::Node(args) => {
            let nginx = Nginx::new(api.api.clone(), api.api_token_file.as_deref())?;
            let look =
                async |step: &health::Step| health::node(step, &nginx, &args.disk, args.min_free.0).await;
            health::check("node", args.timeout.0, look).await
        }
    };
    Ok(found?)
}
