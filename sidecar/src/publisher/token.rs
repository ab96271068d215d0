//! Where this process publishes at its own nginx: a URL with a token that nobody else can make.

use std::path::{Path, PathBuf};

use weir_model::token::{Action, Claims, Signer, SignerError, Subject};
use weir_model::{AppName, Secret, StreamName};
use weir_rtmp::url::Url;

use crate::clock;
use crate::config::RtmpServer;

/// A token is used immediately.
const TOKEN_SECONDS: u64 = 60;

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
    let secret = std::fs::read_to_string(secret_file)
        .map(Secret::new)
        .map_err(|why| Error::Unreadable { file: secret_file.into(), why })?;
    let signer = Signer::new(secret.expose().as_bytes())
        .map_err(|why| Error::Unfit { file: secret_file.into(), why })?;
    let now = clock::now();
    let token = signer.mint(&Claims {
        sub: Subject { app: app.clone(), stream: Some(name.clone()) },
        act: Action::Publish,
        exp: now.plus_seconds(TOKEN_SECONDS),
        nbf: None,
        // Without it, a revocation of the stream's tokens would hold for this one too.
        iat: Some(now),
        jti: None,
        ip: None,
        yields,
    });
    Ok(Url {
        tls: false,
        credentials: None,
        host: server.host.trim_matches(['[', ']']).to_owned(),
        port: server.port,
        app: app.to_string(),
        name: format!("{name}?token={}", token.expose()),
    })
}
