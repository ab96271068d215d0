//! URLs with tokens with which this process publishes at its own nginx. Nobody else can mint such a token.

use std::path::{Path, PathBuf};

use weir_model::token::{Action, Claims, Signer, SignerError, Subject};
use weir_model::{AppName, Secret, StreamName, Timestamp};
use weir_rtmp::url::Url;

use crate::clock;
use crate::config::RtmpServer;

/// Validity of a publish token, in seconds. The token is used immediately.
const TOKEN_SECONDS: u64 = 60;
/// Validity of a play token, in seconds. The token must be valid for as long as somebody watches.
const PLAY_SECONDS: u64 = 7 * 86_400;

/// Reason why no token can be minted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file with the secret cannot be read.
    #[error("secret_file {}: {why}", file.display())]
    Unreadable {
        /// The path as configured.
        file: PathBuf,
        /// The system's error.
        why: std::io::Error,
    },
    /// The content of the file cannot sign tokens.
    #[error("secret_file {}: {why}", file.display())]
    Unfit {
        /// The path as configured.
        file: PathBuf,
        /// The fault.
        why: SignerError,
    },
}

/// Returns the URL of a stream at a server, with a publish token; without a secret, it has none. `yields`: the token says that any other
/// publisher may replace the stream.
pub(crate) fn url<'s>(
    server: &RtmpServer,
    secret_file: impl Into<Option<&'s Path>>,
    app: &AppName,
    name: &StreamName,
    yields: bool,
) -> Result<Url, Error> {
    let Some(secret_file) = secret_file.into() else { return Ok(at(server, app, name.to_string())) };
    let until = clock::now().plus_seconds(TOKEN_SECONDS);
    let claims = Claims { yields, ..claims(Action::Publish, app, name, until) };
    let token = signer(secret_file)?.mint(&claims);
    Ok(at(server, app, format!("{name}?token={}", token.expose())))
}

/// Returns the URL of a stream at a server, with a stream key.
pub(crate) fn url_with_key(server: &RtmpServer, app: &AppName, name: &StreamName, key: &Secret) -> Url {
    at(server, app, format!("{name}?key={}", key.expose()))
}

fn at(server: &RtmpServer, app: &AppName, name: String) -> Url {
    Url {
        tls: false,
        credentials: None,
        host: server.host.trim_matches(['[', ']']).to_owned(),
        port: server.port,
        app: app.to_string(),
        name,
    }
}

/// Returns a token that can play a stream at a node with the same secret.
pub(crate) fn play(secret_file: &Path, app: &AppName, name: &StreamName) -> Result<Secret, Error> {
    let until = clock::now().plus_seconds(PLAY_SECONDS);
    Ok(signer(secret_file)?.mint(&claims(Action::Play, app, name, until)))
}

fn signer(secret_file: &Path) -> Result<Signer, Error> {
    let secret = std::fs::read_to_string(secret_file)
        .map(Secret::new)
        .map_err(|why| Error::Unreadable { file: secret_file.into(), why })?;
    Signer::new(secret.expose().as_bytes()).map_err(|why| Error::Unfit { file: secret_file.into(), why })
}

fn claims(act: Action, app: &AppName, name: &StreamName, exp: Timestamp) -> Claims {
    Claims {
        sub: Subject { app: app.clone(), stream: Some(name.clone()) },
        act,
        exp,
        nbf: None,
        // Without `iat`, a revocation of the stream's tokens would apply to this token too.
        iat: Some(clock::now()),
        jti: None,
        ip: None,
        yields: false,
    }
}
