//! Checks that an RTMP server answers, and that a stream really delivers media.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::url::Url;

use super::Step;
use crate::http::innermost;

/// Reason why a server or a stream is not healthy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system has no random bytes for the handshake.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The connection failed.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The TLS handshake failed, with the innermost cause.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// The server does not speak RTMP.
    #[error(transparent)]
    Protocol(#[from] weir_rtmp::client::Error),
    /// The server refused, with its reason.
    #[error("{0}")]
    Refused(String),
    /// The server closed the connection without a reason.
    #[error("the server closed the connection")]
    Closed,
}

/// Does the handshake and `connect`. With `stream`, also sends `play` and waits for audio or video: nginx-rtmp accepts `play` even for
/// streams that do not exist.
pub(crate) async fn check(step: &Step, url: &Url, stream: Option<&str>) -> Result<String, Error> {
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
            // TLS buffers bytes that do not fill a record.
            socket.flush().await
        };
        match sent.await {
            // If the server is gone, its last message is more useful than the error of the write.
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
    // Each side waits for the other's messages, so they must not be delayed.
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

/// Judges an event: healthy, unhealthy, or undecided.
fn judge(event: ClientEvent, step: &Step, stream: Option<&str>) -> Result<Option<&'static str>, Error> {
    match event {
        ClientEvent::Handshaken => step.is("answer to connect"),
        ClientEvent::Connected if stream.is_none() => return Ok(Some("connect accepted")),
        ClientEvent::Connected => step.is("answer to play"),
        ClientEvent::StreamCreated(_) => step.is("audio or video"),
        ClientEvent::Status(status) if status.level == "error" => {
            let words = format!("refused: {} {}", status.code, status.description);
            return Err(Error::Refused(words.trim_end().to_owned()));
        }
        ClientEvent::Media(tag) if !tag.is_header() => return Ok(Some("receiving media")),
        ClientEvent::Closed => return Err(Error::Closed),
        _ => {}
    }
    Ok(None)
}

fn is_gone(kind: ErrorKind) -> bool {
    // A TLS connection may end without a close notification.
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}
