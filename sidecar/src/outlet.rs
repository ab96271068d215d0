//! From ffmpeg's socket to an application of nginx. The daemon publishes, so ffmpeg knows no token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use weir_model::{AppName, Secret, StreamName};
use weir_rtmp::client::Event;
use weir_rtmp::flv::{Reader, Tag, TagKind};
use weir_rtmp::url::Url;

use crate::clock;
use crate::config::RtmpServer;
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted, token};
use crate::supervise::Shared;

const OVERHEAR_TRIES: u32 = 50;
const OVERHEAR_PAUSE: Duration = Duration::from_millis(20);

/// Why a stream is not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token can be minted.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// The server, or the way to it.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// The server says nothing.
    #[error("no answer to the publish")]
    NoAnswer,
    /// In the server's words.
    #[error("{0}")]
    Refused(String),
    /// Without a word.
    #[error("the server closed it")]
    Closed,
    /// ffmpeg's socket.
    #[error(transparent)]
    Input(#[from] std::io::Error),
    /// What ffmpeg writes is no FLV.
    #[error(transparent)]
    Flv(#[from] weir_rtmp::flv::Error),
    /// A tag cannot be sent.
    #[error(transparent)]
    Client(#[from] weir_rtmp::client::Error),
    /// A sender must name a key.
    #[error("the sender's streamid is no stream key: it must be the stream key of this stream")]
    NoKey,
    /// Players of RTMP and HLS do not play this.
    #[error("codec {0} needs transcode = true")]
    Codec(&'static str),
}

/// With what a stream is published.
pub enum Credential {
    /// A token that nobody else can make, of a copy of nginx's `weir_secret`: nobody else can publish there.
    Minted(PathBuf),
    /// The stream key that the program tells of its sender.
    Overheard,
}

/// What publishes one stream.
pub struct Outlet {
    /// The nginx.
    pub server: RtmpServer,
    /// Its application.
    pub app: AppName,
    /// The public name.
    pub name: StreamName,
    /// With what it publishes.
    pub credential: Credential,
    /// Decides about each tag before it is sent.
    pub check: fn(&Tag) -> Result<(), Error>,
    /// Called for each tag with which a player can begin.
    pub playable: Box<dyn Fn() + Send + Sync>,
}

impl Outlet {
    async fn url(&self, shared: &Shared) -> Result<Url, Error> {
        let secret_file = match &self.credential {
            Credential::Minted(file) => file,
            Credential::Overheard => {
                let key = overheard(shared).await.filter(is_key).ok_or(Error::NoKey)?;
                return Ok(token::url_with_key(&self.server, &self.app, &self.name, &key));
            }
        };
        Ok(token::url(&self.server, secret_file, &self.app, &self.name, false)?)
    }
}

/// What ffmpeg says and what it writes come over two pipes: its words may be read a little later.
async fn overheard(shared: &Shared) -> Option<Secret> {
    for _ in 0..OVERHEAR_TRIES {
        if let Some(secret) = shared.output.secret() {
            return Some(secret);
        }
        tokio::time::sleep(OVERHEAR_PAUSE).await;
    }
    None
}

/// Whether it may be a key, and nothing else of a URL.
fn is_key(key: &Secret) -> bool {
    let text = key.expose();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Takes one run of ffmpeg after the other.
pub async fn serve(listener: UnixListener, outlet: Outlet, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if let Err(why) = publish(&outlet, stream, &shared).await {
            // ffmpeg's next write fails, and it is started again.
            tracing::error!("stream not published: {why}, stream: {}/{}", outlet.app, outlet.name);
            shared.output.push_reason(crate::supervise::output::Line {
                at: clock::now(),
                level: "error",
                text: why.to_string(),
            });
        }
    }
}

async fn publish(outlet: &Outlet, mut input: UnixStream, shared: &Shared) -> Result<(), Error> {
    let url = outlet.url(shared).await?;
    let mut link = Link::connect(&url).await?;
    match timeout(PATIENCE, accepted(&mut link, &url)).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::NoAnswer),
    }
    let result = forward(outlet, &mut input, &mut link, shared).await;
    link.finish().await;
    result
}

async fn forward(
    outlet: &Outlet,
    input: &mut UnixStream,
    link: &mut Link,
    shared: &Shared,
) -> Result<(), Error> {
    let mut reader = Reader::new();
    let mut buffer = vec![0; 32 << 10];
    loop {
        while let Some(event) = link.client.next_event() {
            match event {
                Event::Status(status) if status.level == "error" => {
                    return Err(Error::Refused(status.description));
                }
                Event::Closed => return Err(Error::Closed),
                _ => {}
            }
        }
        let room = link.has_room();
        tokio::select! {
            turn = link.turn() => turn?,
            read = input.read(&mut buffer), if room => match read? {
                0 => return flush(link).await,
                n => {
                    shared.received(n);
                    reader.feed(&buffer[..n]);
                    while let Some(tag) = reader.next_tag()? {
                        (outlet.check)(&tag)?;
                        link.client.send_tag(tag.kind, tag.timestamp, &tag.payload)?;
                        if is_playable(&tag) {
                            (outlet.playable)();
                        }
                    }
                }
            },
        }
    }
}

/// Sends what is left, for a while.
async fn flush(link: &mut Link) -> Result<(), Error> {
    let _ = timeout(Duration::from_millis(200), link.turn()).await;
    Ok(())
}

/// A key frame, or sound: who joins now finds something.
fn is_playable(tag: &Tag) -> bool {
    let is_key = tag.payload.first().is_some_and(|first| first >> 4 == 1);
    !tag.is_header() && (tag.kind == TagKind::Audio || (tag.kind == TagKind::Video && is_key))
}
