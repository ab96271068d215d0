//! An RTMP server: whether it answers, and whether a stream really comes.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_rtmp::client::{Client, Event, Options};
use weir_rtmp::url::Url;

use super::Step;
use crate::http::innermost;

/// Why a server or a stream is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The handshake needs them.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The innermost cause.
    #[error("TLS: {0}")]
    Tls(String),
    /// In the middle.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// It does not speak RTMP.
    #[error(transparent)]
    Protocol(#[from] weir_rtmp::client::Error),
    /// In the server's words.
    #[error("{0}")]
    Refused(String),
    /// Without a word.
    #[error("the server closed the connection")]
    Closed,
}

/// Handshake and `connect`; with `stream` also `play`, until sound or a picture comes. That `play` is accepted proves
/// nothing: nginx-rtmp does so for streams that do not exist.
pub async fn check(step: &Step, url: &Url, stream: Option<&str>) -> Result<String, Error> {
    step.is("connection");
    let mut socket = connect(step, url).await?;
    let options = || -> Result<Options, Error> {
        let mut random = vec![0; 1528];
        getrandom::fill(&mut random).map_err(Error::Random)?;
        Ok(Options { random, ..Options::default() })
    };
    let mut client = match stream {
        None => Client::connect(url, options()?),
        Some(stream) => {
            let mut client = Client::play(url, options()?);
            client.set_name(stream.as_bytes());
            client
        }
    };
    step.is("complete handshake");
    let mut buffer = [0; 16_384];
    loop {
        let sent = async {
            socket.write_all(&client.take_output()).await?;
            // TLS keeps what it has no record for yet.
            socket.flush().await
        };
        match sent.await {
            // What it said before it went is worth more than that it went.
            Err(e) if !is_gone(e.kind()) => return Err(Error::Lost(e)),
            _ => {}
        }
        match socket.read(&mut buffer).await {
            Ok(0) => client.end_of_input(),
            Ok(n) => client.receive(&buffer[..n])?,
            Err(e) if is_gone(e.kind()) => client.end_of_input(),
            Err(e) => return Err(Error::Lost(e)),
        }
        while let Some(event) = client.next_event() {
            if let Some(found) = judge(event, step, stream)? {
                return Ok(found.into());
            }
        }
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

async fn connect(step: &Step, url: &Url) -> Result<Box<dyn Socket>, Error> {
    let socket = TcpStream::connect((url.host.as_str(), url.port)).await;
    let socket = socket.map_err(Error::Connect)?;
    // Each message is waited for by the other side.
    let _ = socket.set_nodelay(true);
    if !url.tls {
        return Ok(Box::new(socket));
    }
    step.is("complete TLS handshake");
    let failed = |e: &dyn std::error::Error| Error::Tls(innermost(e));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|e| failed(&e))?;
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let name = ServerName::try_from(url.host.clone()).map_err(|e| failed(&e))?;
    let socket = connector.connect(name, socket).await.map_err(|e| failed(&e))?;
    Ok(Box::new(socket))
}

/// What an event means: healthy, unhealthy, or nothing yet.
fn judge(event: Event, step: &Step, stream: Option<&str>) -> Result<Option<&'static str>, Error> {
    match event {
        Event::Handshaken => step.is("answer to connect"),
        Event::Connected if stream.is_none() => return Ok(Some("connect accepted")),
        Event::Connected => step.is("answer to play"),
        Event::StreamCreated(_) => step.is("audio or video"),
        Event::Status(status) if status.level == "error" => {
            let words = format!("refused: {} {}", status.code, status.description);
            return Err(Error::Refused(words.trim_end().to_owned()));
        }
        Event::Media(tag) if !tag.is_header() => return Ok(Some("receiving media")),
        Event::Closed => return Err(Error::Closed),
        _ => {}
    }
    Ok(None)
}

fn is_gone(kind: ErrorKind) -> bool {
    // With TLS, a connection may end without a goodbye.
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}
