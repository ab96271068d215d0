//! `weir check`

use std::net::IpAddr;
use std::path::{self, Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;
use weir_model::client::TICKET_ARGUMENT;
use weir_model::{Secret, arguments};

use super::{Error, Output, runtime};
use crate::cli::ApiArgs;
use crate::cli::CheckCommand;
use crate::cli::check::CheckNodeArgs;
use crate::doctor::{self, Installation, Node, State};
use crate::health::{self, Papers};
use crate::nginx::Nginx;
use crate::values::Span;

/// Time limits without and with `--stream`: a player gets its first frame at the next keyframe.
const RTMP_LIMITS: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(3));

/// Time limit for the ticket; nginx answers from memory.
const TICKET_LIMIT: Duration = Duration::from_millis(200);

/// Runs a check; returns its output, and whether the result is healthy.
pub(super) fn run(command: &CheckCommand, api: &ApiArgs) -> Result<(Output, bool), Error> {
    if let CheckCommand::Node(args) = command
        && args.all
    {
        return prove(args, api);
    }
    let runtime = runtime()?;
    let begin = Instant::now();
    let found = runtime.block_on(look(command, api));
    // A slow name lookup or disk runs in a separate thread, which the shutdown does not wait for.
    runtime.shutdown_background();
    if !wants_json(command) {
        return found.map(|line| (format!("{line}\n").into(), true));
    }
    let healthy = found.is_ok();
    let message = found.unwrap_or_else(|why| why.to_string());
    let took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = json!({ "healthy": healthy, "message": message, "took_ms": took_ms });
    Ok((Output::json(&answer.to_string()), healthy))
}

/// Runs `weir check node --all`.
fn prove(args: &CheckNodeArgs, api: &ApiArgs) -> Result<(Output, bool), Error> {
    let installation = Installation {
        nginx: PathBuf::new(),
        conf: path::absolute(&args.conf).unwrap_or_else(|_| args.conf.clone()),
        config: args.config.clone(),
        is_config_expected: true,
        socket: args.daemon.path(&args.config),
    };
    let begin = Instant::now();
    let runtime = runtime()?;
    let found = runtime.block_on(async {
        let nginx = Nginx::new(api.api.clone(), api.api_token_file.as_deref())?;
        let (is_api_given, disks, min_free) = (api.is_given, args.disk.as_slice(), args.min_free.0);
        let node = Node { installation: &installation, nginx, is_api_given, disks, min_free };
        Ok::<_, Error>(doctor::prove(node).await)
    })?;
    runtime.shutdown_background();
    let healthy = !found.iter().any(|finding| finding.state == State::Problem);
    if !args.json.json {
        return Ok((super::doctor::as_lines(&found).into(), healthy));
    }
    let took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut answer = super::doctor::as_json(&found);
    answer["healthy"] = healthy.into();
    answer["took_ms"] = took_ms.into();
    Ok((Output::json(&answer.to_string()), healthy))
}

fn wants_json(command: &CheckCommand) -> bool {
    match command {
        CheckCommand::Rtmp(args) => args.json.json,
        CheckCommand::Http(args) => args.json.json,
        CheckCommand::Hls(args) => args.json.json,
        CheckCommand::Node(args) => args.json.json,
    }
}

/// Adds the ticket of an nginx on this machine to the stream, so that nginx does not count the check as a viewer. If the API does
/// not answer immediately, the check runs without the ticket. A stream with a token gets no ticket, because the ticket would open
/// the stream whatever the token is.
async fn as_own_player(stream: &str, host: &str, api: &ApiArgs) -> String {
    let has_token = |args: &str| args.split('&').any(|argument| argument.starts_with("token="));
    if arguments::split(stream).1.is_some_and(has_token) {
        return stream.to_owned();
    }
    match ticket(host, api).await {
        Some(ticket) => arguments::with(stream, &format!("{TICKET_ARGUMENT}={}", ticket.expose())),
        None => stream.to_owned(),
    }
}

/// Returns the ticket of an nginx on this machine, if that nginx answers immediately.
async fn ticket(host: &str, api: &ApiArgs) -> Option<Secret> {
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse().is_ok_and(|addr: IpAddr| addr.is_loopback());
    if !is_here {
        return None;
    }
    let ticket = async {
        let nginx = Nginx::new(api.api.clone(), api.api_token_file.as_deref()).ok()?;
        nginx.player_ticket().await.ok()?
    };
    timeout(TICKET_LIMIT, ticket).await.ok()?
}

/// Reads the token of a file: one word.
fn token(file: &Path) -> Result<Secret, Error> {
    let failed = |why: &dyn ToString| Error::file_of("--token-file", file, why.to_string());
    let text = std::fs::read_to_string(file).map(Secret::new).map_err(|error| failed(&error))?;
    match text.expose().trim() {
        token if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Secret::new(token))
        }
        _ => Err(failed(&"must hold one token, as `weir token mint` prints it")),
    }
}

async fn look(command: &CheckCommand, api: &ApiArgs) -> Result<String, Error> {
    let found = match command {
        CheckCommand::Rtmp(args) => {
            let url = &args.url.0;
            let stream = match &args.stream {
                Some(stream) => Some(as_own_player(stream, &url.host, api).await),
                None => None,
            };
            let stream = stream.as_deref();
            let default = if stream.is_none() { RTMP_LIMITS.0 } else { RTMP_LIMITS.1 };
            let limit = args.timeout.map_or(default, |limit| limit.0);
            let shown = url.tc_url();
            // The arguments of an application may be secret.
            health::check(arguments::name(&shown), limit, async |step| health::rtmp(step, url, stream).await)
                .await
        }
        CheckCommand::Http(args) => {
            let (url, limit) = (&args.url, args.timeout.0);
            health::check(&url.to_string(), limit, async |step| health::http(step, url, args.status).await)
                .await
        }
        CheckCommand::Hls(args) => {
            let (url, limit, max_age) = (&args.url, args.timeout.0, args.max_age.map(|span: Span| span.0));
            let token = args.token_file.as_deref().map(token).transpose()?;
            let papers = Papers { token, ticket: ticket(url.host(), api).await };
            let look = async |step: &health::Step| health::hls(step, url, max_age, &papers).await;
            health::check(&url.to_string(), limit, look).await
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
