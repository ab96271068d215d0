//! `weir token revoke`

use weir_model::token::{Revocation, Revoked};

use super::applications::{self, Made};
use super::{Error, Output, now};
use crate::cli::TokenRevokeArgs;
use crate::nginx::{Nginx, RevokeTokens};

pub(super) async fn run(args: &TokenRevokeArgs, nginx: &Nginx) -> Result<Output, Error> {
    let stream = args.stream.as_ref().map(ToString::to_string);
    let wanted = RevokeTokens {
        jti: args.jti.as_ref(),
        expires_at: args.expires.map(|expiry| expiry.at(now())),
        app: args.app.as_ref().map(|app| app.as_str()),
        stream: stream.as_deref(),
        revoked_at: None,
    };
    let answer = nginx.revoke_tokens(&wanted).await?;
    let mut stderr = match &args.app {
        Some(app) => applications::warning(nginx, app.as_str(), Made::Revocation, args.json.json).await,
        None => String::new(),
    };
    if let (Some(app), Some(stream), true) =
        (&args.app, stream.as_deref().filter(|name| *name != "*"), stderr.is_empty())
        && is_unknown(nginx, app.as_str(), stream).await
    {
        stderr = applications::shown("unknown_stream", &unknown(app.as_str(), stream), args.json.json);
    }
    let output = match args.json.json {
        true => Output::json(&answer.text),
        false => said(&answer.value).into(),
    };
    Ok(Output { stderr, ..output })
}

/// Returns whether no stream of this name is live and no key exists for it. If the module does not answer, the name counts as
/// known.
async fn is_unknown(nginx: &Nginx, app: &str, stream: &str) -> bool {
    let (Ok(streams), Ok(keys)) = (nginx.streams().await, nginx.keys().await) else { return false };
    let is_live = streams.value.streams.iter().any(|live| live.app == app && live.name == stream);
    let has_key = keys.value.keys.iter().any(|key| key.app.as_str() == app && key.stream.as_str() == stream);
    !is_live && !has_key
}

fn unknown(app: &str, stream: &str) -> String {
    format!("no stream \"{stream}\" of \"{app}\" is live and no key is for it: check the name")
}

fn said(Revocation { what, revoked_at, expires_at }: &Revocation) -> String {
    match what {
        Revoked::Token(id) => format!("Revoked the token {id}; the revocation is kept until {expires_at}.\n"),
        Revoked::Streams(subject) => {
            format!("Revoked each token for {subject} that was minted by {revoked_at}, or that has no iat.\n")
        }
    }
}
