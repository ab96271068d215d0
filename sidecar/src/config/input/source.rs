//! `url` of `[[input]]`.

use std::path::PathBuf;

use weir_model::{AppName, Secret, StreamName};

use crate::config::check::Unfit;
use crate::config::origin::{Origin, OriginProtocol};

/// Source of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A source over a network.
    Remote(Remote),
    /// A stream of another node.
    Node(Origin),
    /// A file, played in a loop.
    File(PathBuf),
    /// The files of an M3U playlist, played in a loop.
    Playlist(PathBuf),
}

impl Source {
    /// Returns a word for log lines and lists: `rtsp`, `file`, ...
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Remote(remote) => remote.transport.word(),
            Self::Node(Origin { kind: OriginProtocol::Ws, .. }) => "weir",
            Self::Node(Origin { kind: OriginProtocol::Whep, .. }) => "whep",
            Self::File(_) => "file",
            Self::Playlist(_) => "playlist",
        }
    }
}

/// A source over a network.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Protocol.
    pub transport: Transport,
    /// URL for ffmpeg; may contain a password.
    pub url: Secret,
    /// Whether the input waits for a sender; otherwise it fetches the stream.
    pub waits: bool,
}

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        (self.transport, self.waits) == (other.transport, other.waits)
            && self.url.expose() == other.url.expose()
    }
}

impl Eq for Remote {}

/// Protocol of a source over a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A camera.
    Rtsp,
    /// Another RTMP server, also with `rtmps://`.
    Rtmp,
    /// HLS of another server.
    Hls,
    /// Secure Reliable Transport.
    Srt,
    /// Reliable Internet Stream Transport.
    Rist,
    /// MPEG-TS in datagrams.
    Udp,
}

impl Transport {
    /// Returns a word for log lines and lists.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtmp => "rtmp",
            Self::Hls => "hls",
            Self::Srt => "srt",
            Self::Rist => "rist",
            Self::Udp => "udp",
        }
    }
}

const SCHEMES: &str = "must begin with rtsp://, rtmp://, rtmps://, http://, https://, srt://, rist://, udp://, \
                       weir+ws://, weir+wss://, whep+https://, file: or playlist:";
/// Allowed lengths of a passphrase: the minimum of libsrt and its HAICRYPT_PWD_MAX_SZ.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 10..=79;

/// Parses the URL of an input for `app`/`stream`. An error never repeats the URL.
pub(super) fn source(
    text: &str,
    app: Option<&AppName>,
    stream: Option<&StreamName>,
) -> Result<Source, Unfit> {
    // The scheme of a URL may be written in capitals (RFC 3986, 3.1).
    let lower = text.split_once(':').map(|(scheme, rest)| format!("{}:{rest}", scheme.to_ascii_lowercase()));
    let text = lower.as_deref().unwrap_or(text);
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) && !text.starts_with("file:") {
        return match text.starts_with("playlist:") {
            true => path(text, "playlist:").map(Source::Playlist),
            false => Err(Unfit::Remedy("has a space or a control character in it; write it as %20")),
        };
    }
    if text.starts_with("file:") {
        return path(text, "file:").map(Source::File);
    }
    if text.starts_with("playlist:") {
        return path(text, "playlist:").map(Source::Playlist);
    }
    if let Some(origin) = Origin::parse(text, app, stream) {
        return origin.map(Source::Node);
    }
    let (scheme, rest) = text.split_once("://").ok_or(SCHEMES)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let place = Place::of(authority, tail);
    let fetched = |transport| Remote { transport, url: Secret::new(text), waits: false };
    let remote = match scheme {
        "rtsp" => place.named("rtsp://192.0.2.10/stream1").map(|()| fetched(Transport::Rtsp))?,
        "rtmp" | "rtmps" => {
            const HOW: &str = "rtmp://example.org/live/show";
            place.named(HOW)?;
            if place.path.trim_matches('/').split('/').count() < 2 {
                return Err(Unfit::Value(format!("needs an application and a stream, such as {HOW}")));
            }
            fetched(Transport::Rtmp)
        }
        "http" | "https" => {
            const HOW: &str = "https://example.org/live/index.m3u8";
            place.named(HOW)?;
            if !place.path.to_ascii_lowercase().ends_with(".m3u8") {
                return Err(Unfit::Value(format!("must be of a playlist, such as {HOW}")));
            }
            fetched(Transport::Hls)
        }
        "srt" => srt(&place, text)?,
        "rist" => rist(&place)?,
        "udp" => udp(&place)?,
        _ => return Err(Unfit::Remedy(SCHEMES)),
    };
    Ok(Source::Remote(remote))
}

fn path(text: &str, scheme: &str) -> Result<PathBuf, Unfit> {
    let path = text.strip_prefix(scheme).unwrap_or(text);
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if !path.starts_with('/') || path.contains(['\n', '\r', '\0']) {
        return Err(Unfit::Value(format!(
            "needs a path that begins with /, such as {scheme}/srv/media/loop.mp4"
        )));
    }
    Ok(path.into())
}

/// The parts of a URL that the checks use.
struct Place<'t> {
    user: Option<&'t str>,
    host: &'t str,
    port: Option<u16>,
    path: &'t str,
    query: &'t str,
}

impl<'t> Place<'t> {
    fn of(authority: &'t str, tail: &'t str) -> Self {
        let (user, rest) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port != 0)),
            _ => (rest, None),
        };
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        Self { user, host, port, path, query }
    }

    fn named(&self, example: &str) -> Result<(), Unfit> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
        if self.host.is_empty() || !self.host.bytes().all(fits) {
            return Err(Unfit::Value(format!("needs a host, such as {example}")));
        }
        Ok(())
    }

    fn argument(&self, name: &str) -> Option<&'t str> {
        self.query.split('&').find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    }
}

fn srt(place: &Place<'_>, text: &str) -> Result<Remote, Unfit> {
    const HOW: &str = "such as srt://:9000?mode=listener&passphrase=TEXT";
    let Some(port) = place.port else { return Err(Unfit::Value(format!("needs a port, {HOW}"))) };
    if place.argument("passphrase").is_some_and(|phrase| !PASSPHRASE.contains(&phrase.len())) {
        return Err(Unfit::Remedy("passphrase: has 10 to 79 characters"));
    }
    let waits = match place.argument("mode") {
        Some("listener") => true,
        Some("caller") | None if !place.host.is_empty() => false,
        _ => return Err(Unfit::Value(format!("needs mode=listener, or a host to call; {HOW}"))),
    };
    if waits && place.argument("streamid").is_some() {
        return Err(Unfit::Remedy(
            "streamid: is the sender's to give; write streamid = \"key\" beside url if it must be the stream key",
        ));
    }
    let url = match place.host {
        "" => format!("srt://0.0.0.0:{port}?{}", place.query),
        _ => text.to_owned(),
    };
    Ok(Remote { transport: Transport::Srt, url: Secret::new(url), waits })
}

/// Builds the URL of a RIST source. librist connects to a host, and listens if an `@` precedes the host.
fn rist(place: &Place<'_>) -> Result<Remote, Unfit> {
    let port = place.port.ok_or("needs a port, such as rist://:8193")?;
    let waits = place.host.is_empty() || place.user == Some("");
    let host = if place.host.is_empty() { "0.0.0.0" } else { place.host };
    let mark = if waits { "@" } else { "" };
    let query = if place.query.is_empty() { String::new() } else { format!("?{}", place.query) };
    let url = Secret::new(format!("rist://{mark}{host}:{port}{query}"));
    Ok(Remote { transport: Transport::Rist, url, waits: true })
}

/// Builds the URL of a UDP source: a port of this machine, or a multicast group. People also write an `@` before the group.
fn udp(place: &Place<'_>) -> Result<Remote, Unfit> {
    let port = place.port.ok_or("needs a port, such as udp://:5000 or udp://239.0.0.1:5000")?;
    let host = if place.host.is_empty() { "0.0.0.0" } else { place.host };
    // The buffer holds a burst, and loss in a larger burst does not end ffmpeg.
    let own = "overrun_nonfatal=1&fifo_size=50000";
    let query = if place.query.is_empty() { own.to_owned() } else { format!("{own}&{}", place.query) };
    let url = Secret::new(format!("udp://{host}:{port}?{query}"));
    Ok(Remote { transport: Transport::Udp, url, waits: true })
}
