//! From ffmpeg's socket to another application of nginx. The daemon publishes, so ffmpeg knows no token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use weir_model::stream_name::NameError;
use weir_model::token::{Action, Claims, Signer, Subject};
use weir_model::{Secret, StreamName};
use weir_rtmp::client::Event;
use weir_rtmp::flv::{Reader, Tag, TagKind};
use weir_rtmp::url::Url;

use super::Readiness;
use super::plan::published;
use crate::clock;
use crate::config::{RtmpServer, ToRtmp};
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted};
use crate::streams::Live;
use crate::supervise::Shared;

/// A token is used at once.
const TOKEN_SECONDS: u64 = 60;

/// What publishes one rendition.
#[derive(Debug)]
pub struct Publisher {
    host: String,
    port: u16,
    app: weir_model::AppName,
    /// `NAME_RUNG`
    name: StreamName,
    rung: String,
    secret_file: PathBuf,
}

impl Publisher {
    /// Of the rung `rung` of a stream.
    pub fn new(server: &RtmpServer, to: &ToRtmp, live: &Live, rung: &str) -> Result<Self, NameError> {
        Ok(Self {
            host: server.host.trim_matches(['[', ']']).to_owned(),
            port: server.port,
            app: to.app.clone(),
            name: published(live, rung)?,
            rung: rung.to_owned(),
            secret_file: to.secret_file.clone(),
        })
    }

    /// With a token that nobody else can make, so that nobody else can publish there.
    fn url(&self) -> Result<Url, String> {
        let named = |why: String| format!("secret_file {}: {why}", self.secret_file.display());
        let secret =
            std::fs::read_to_string(&self.secret_file).map(Secret::new).map_err(|e| named(e.to_string()))?;
        let signer = Signer::new(secret.expose().as_bytes()).map_err(|e| named(e.to_string()))?;
        let token = signer.mint(&Claims {
            sub: Subject { app: self.app.clone(), stream: Some(self.name.clone()) },
            act: Action::Publish,
            exp: clock::now().plus_seconds(TOKEN_SECONDS),
            nbf: None,
            ip: None,
            yields: false,
        });
        Ok(Url {
            tls: false,
            credentials: None,
            host: self.host.clone(),
            port: self.port,
            app: self.app.to_string(),
            name: format!("{}?token={}", self.name, token.expose()),
        })
    }
}

/// Takes one run of ffmpeg after the other.
pub async fn serve(listener: UnixListener, publisher: Publisher, shared: Arc<Shared>, ready: Arc<Readiness>) {
    while let Ok((stream, _)) = listener.accept().await {
        if let Err(why) = publish(&publisher, stream, &ready, &shared).await {
            // ffmpeg's next write fails, and it is started again.
            tracing::error!("rendition not published: {why}, stream: {}/{}", publisher.app, publisher.name);
            shared.output.push(crate::supervise::output::Line {
                at: clock::now(),
                level: "error",
                text: why,
            });
        }
    }
}

async fn publish(
    publisher: &Publisher,
    mut input: UnixStream,
    ready: &Readiness,
    shared: &Shared,
) -> Result<(), String> {
    let words = |error: publisher::Error| error.to_string();
    let url = publisher.url()?;
    let mut link = Link::connect(&url).await.map_err(words)?;
    match timeout(PATIENCE, accepted(&mut link, &url)).await {
        Ok(result) => result.map_err(words)?,
        Err(_) => return Err("no answer to the publish".into()),
    }
    let result = forward(publisher, &mut input, &mut link, ready, shared).await;
    link.finish().await;
    result
}

async fn forward(
    publisher: &Publisher,
    input: &mut UnixStream,
    link: &mut Link,
    ready: &Readiness,
    shared: &Shared,
) -> Result<(), String> {
    let mut reader = Reader::new();
    let mut buffer = vec![0; 32 << 10];
    loop {
        while let Some(event) = link.client.next_event() {
            match event {
                Event::Status(status) if status.level == "error" => return Err(status.description),
                Event::Closed => return Err("the server closed it".into()),
                _ => {}
            }
        }
        let room = link.has_room();
        tokio::select! {
            turn = link.turn() => turn.map_err(|error| error.to_string())?,
            read = input.read(&mut buffer), if room => match read.map_err(|error| error.to_string())? {
                0 => return flush(link).await,
                n => {
                    shared.received(n);
                    reader.feed(&buffer[..n]);
                    while let Some(tag) = reader.next_tag().map_err(|error| error.to_string())? {
                        link.client
                            .send_tag(tag.kind, tag.timestamp, &tag.payload)
                            .map_err(|error| error.to_string())?;
                        if is_playable(&tag) {
                            ready.playable(&publisher.rung);
                        }
                    }
                }
            },
        }
    }
}

/// Sends what is left, for a while.
async fn flush(link: &mut Link) -> Result<(), String> {
    let _ = timeout(Duration::from_millis(200), link.turn()).await;
    Ok(())
}

/// A key frame, or sound: who joins now finds something.
fn is_playable(tag: &Tag) -> bool {
    let is_key = tag.payload.first().is_some_and(|first| first >> 4 == 1);
    !tag.is_header() && (tag.kind == TagKind::Audio || (tag.kind == TagKind::Video && is_key))
}
