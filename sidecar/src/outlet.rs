//! Publishes the output of ffmpeg's socket to an application of nginx. The daemon publishes, so ffmpeg never has the token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use weir_model::{AppName, Secret, StreamName};
use weir_rtmp::client::ClientEvent;
use weir_rtmp::flv::{Reader, Tag, TagKind};
use weir_rtmp::url::Url;

use crate::clock;
use crate::config::RtmpServer;
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted, token};
use crate::supervise::Shared;

const OVERHEAR_TRIES: u32 = 50;
const OVERHEAR_PAUSE: Duration = Duration::from_millis(20);

/// Reason why a stream is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No token can be minted.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// The connection to the server failed.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// The server does not answer.
    #[error("no answer to the publish")]
    NoAnswer,
    /// The server refused the publish, with its reason.
    #[error("{0}")]
    Refused(String),
    /// The server closed the publish without a reason.
    #[error("the server closed it")]
    Closed,
    /// ffmpeg's socket failed.
    #[error(transparent)]
    Input(#[from] std::io::Error),
    /// ffmpeg's output is not FLV.
    #[error(transparent)]
    Flv(#[from] weir_rtmp::flv::Error),
    /// A tag cannot be sent.
    #[error(transparent)]
    Client(#[from] weir_rtmp::client::Error),
    /// The program has ended before the publish began.
    #[error("the sender is gone")]
    Gone,
    /// The sender gave no valid stream key.
    #[error(
        "the sender's streamid is no stream key: it must be a key of this application, such as weir key add makes"
    )]
    NoKey,
    /// RTMP and HLS players cannot play this codec.
    #[error("codec {0} needs transcode = true")]
    Codec(&'static str),
}

/// Credential of a publish.
pub(crate) enum Credential {
    /// A token that is minted with a copy of nginx's `weir_secret`. Nobody else can mint one, so nobody else can publish there.
    Minted(PathBuf),
    /// The stream key that ffmpeg logs as the sender's.
    Overheard,
}

/// Publisher of one stream.
pub(crate) struct Outlet {
    /// The nginx that gets the stream.
    pub server: RtmpServer,
    /// Application in this nginx.
    pub app: AppName,
    /// Public name of the stream.
    pub name: StreamName,
    /// Credential of the publish.
    pub credential: Credential,
    /// The time of ffmpeg's output that becomes 0, in milliseconds.
    pub zero: u32,
    /// Checks each tag before it is sent.
    pub check: fn(&Tag) -> Result<(), Error>,
    /// Called for each tag with which a player can begin.
    pub playable: Box<dyn Fn() + Send + Sync>,
}

impl Outlet {
    async fn url(&self, input: &UnixStream, shared: &Shared) -> Result<Url, Error> {
        let secret_file = match &self.credential {
            Credential::Minted(file) => file,
            Credential::Overheard => {
                let key = overheard(shared).await;
                // The key of one sender must not publish the media of another.
                if !is_of_this_run(input, shared) {
                    return Err(Error::Gone);
                }
                let key = key.filter(is_key).ok_or(Error::NoKey)?;
                return Ok(token::url_with_key(&self.server, &self.app, &self.name, &key));
            }
        };
        Ok(token::url(&self.server, secret_file.as_path(), &self.app, &self.name, false)?)
    }
}

/// Returns the stream key that ffmpeg has logged. ffmpeg's log and output arrive over two pipes, so the log may be read a little later.
async fn overheard(shared: &Shared) -> Option<Secret> {
    for _ in 0..OVERHEAR_TRIES {
        if let Some(secret) = shared.output.secret() {
            return Some(secret);
        }
        tokio::time::sleep(OVERHEAR_PAUSE).await;
    }
    None
}

/// Returns whether the program at the other end is the one that runs now.
fn is_of_this_run(input: &UnixStream, shared: &Shared) -> bool {
    let pid = input.peer_cred().ok().and_then(|credentials| credentials.pid());
    let group = pid.and_then(|pid| nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).ok());
    let group = group.and_then(|group| u32::try_from(group.as_raw()).ok());
    group.is_some() && group == shared.status().pid
}

/// Returns whether a text may be a stream key, and can be no other part of a URL.
pub(crate) fn is_key(key: &Secret) -> bool {
    let text = key.expose();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Accepts one run of ffmpeg after another.
pub(crate) async fn serve(listener: UnixListener, outlet: Outlet, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if let Err(why) = publish(&outlet, stream, &shared).await {
            // ffmpeg's next write fails, and the supervisor restarts ffmpeg.
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
    let url = outlet.url(&input, shared).await?;
    let mut link = Link::connect(&url).await?;
    match timeout(PATIENCE, accepted(&mut link, &url)).await {
        Ok(result) => result.map_err(|error| match outlet.credential {
            Credential::Minted(_) => error.of_minted(),
            Credential::Overheard => error,
        })?,
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
                ClientEvent::Status(status) if status.level == "error" => {
                    return Err(Error::Refused(status.description));
                }
                ClientEvent::Closed => return Err(Error::Closed),
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
                        let time = tag.timestamp.saturating_sub(outlet.zero);
                        link.client.send_tag(tag.kind, time, &tag.payload)?;
                        if is_playable(&tag) {
                            (outlet.playable)();
                        }
                    }
                }
            },
        }
    }
}

/// Sends the remaining bytes, within a time limit.
async fn flush(link: &mut Link) -> Result<(), Error> {
    let _ = timeout(Duration::from_millis(200), link.turn()).await;
    Ok(())
}

/// Returns whether a player can begin with this tag: a keyframe, or audio.
fn is_playable(tag: &Tag) -> bool {
    let is_key = tag.payload.first().is_some_and(|first| first >> 4 == 1);
    !tag.is_header() && (tag.kind == TagKind::Audio || (tag.kind == TagKind::Video && is_key))
}
