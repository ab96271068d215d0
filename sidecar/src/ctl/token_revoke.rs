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
    };
    let answer = nginx.revoke_tokens(&wanted).await?;
    let stderr = match &args.app {
        Some(app) => applications::warning(nginx, app.as_str(), Made::Revocation, args.json.json).await,
        None => String::new(),
    };
    let output = match args.json.json {
        true => Output::json(&answer.text),
        false => said(&answer.value).into(),
    };
    Ok(Output { stderr, ..output })
}

fn said(Revocation { what, revoked_at, expires_at }: &Revocation) -> String {
    match what {
        Revoked::Token(id) => format!("Revoked the token {id}; the revocation is kept until {expires_at}.\n"),
        Revoked::Streams(subject) => {
            format!("Revoked each token for {subject} that was minted by {revoked_at}, or that has no iat.\n")
        }
    }
}
