//! Where this process publishes at its own nginx: a URL with a token that nobody else can make.

use std::path::{Path, PathBuf};

use weir_model::token::{Action, Claims, Signer, SignerError, Subject};
use weir_model::{AppName, Secret, StreamName, Timestamp};
use weir_rtmp::url::Url;

use crate::clock;
use crate::config::RtmpServer;

/// A token to publish is used immediately.
const TOKEN_SECONDS: u64 = 60;
/// A token to play holds for as long as somebody watches with it.
const PLAY_SECONDS: u64 = 7 * 86_400;

/// Why no token can be minted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the secret cannot be read.
    #[error("secret_file {}: {why}", file.display())]
    Unreadable {
        /// As configured.
        file: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// What is in it is no secret to sign with.
    #[error("secret_file {}: {why}", file.display())]
    Unfit {
        /// As configured.
        file: PathBuf,
        /// What is wrong with it.
        why: SignerError,
    },
}

/// The URL of a stream at a server. `yields`: the token says that the stream gives way to every other publisher.
pub fn url(
    server: &RtmpServer,
    secret_file: &Path,
    app: &AppName,
    name: &StreamName,
    yields: bool,
) -> Result<Url, Error> {
    let until = clock::now().plus_seconds(TOKEN_SECONDS);
    let claims = Claims { yields, ..claims(Action::Publish, app, name, until) };
    let token = signer(secret_file)?.mint(&claims);
    Ok(at(server, app, format!("{name}?token={}", token.expose())))
}

/// The URL of a stream at a server, with a stream key.
pub fn url_with_key(server: &RtmpServer, app: &AppName, name: &StreamName, key: &Secret) -> Url {
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

/// A token with which a stream can be played at a node that has the same secret.
pub fn play(secret_file: &Path, app: &AppName, name: &StreamName) -> Result<Secret, Error> {
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
        // Without it, a revocation of the stream's tokens would hold for this one too.
        iat: Some(clock::now()),
        jti: None,
        ip: None,
        yields: false,
    }
}
