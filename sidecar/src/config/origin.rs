//! URLs of streams at another node: `weir+ws://` and `weir+wss://` for the WebSocket of a Weir node, `whep+https://` and
//! `whep+http://` for any WHEP server.

use weir_model::{AppName, Secret, StreamName};

use super::check::Unfit;

/// A stream at another node.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Protocol.
    pub kind: OriginProtocol,
    /// URL of the WebSocket or WHEP endpoint, with `http://` or `https://` and without the token.
    pub url: reqwest::Url,
    /// Token that the operator wrote into the URL.
    pub token: Option<Secret>,
    /// Application and public name at that node; `None` if the path is not one of a Weir node.
    pub stream: Option<(AppName, StreamName)>,
}

/// Protocol to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginProtocol {
    /// Fragmented MP4 over WebSocket.
    Ws,
    /// WebRTC, set up by WHEP.
    Whep,
}

impl OriginProtocol {
    /// Returns the last part of the path.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Whep => "whep",
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let token = |origin: &Self| origin.token.as_ref().map(Secret::digest);
        (self.kind, &self.url, token(self)) == (other.kind, &other.url, token(other))
    }
}

impl Eq for Origin {}

const WS: &str = "write it as weir+wss://live.example.org/stream/APP/NAME/ws, or as weir+wss://live.example.org for \
                  the stream of the same application and name";
const WHEP: &str = "write it as whep+https://live.example.org/stream/APP/NAME/whep, or as whep+https://live.example.org for \
                    the stream of the same application and name of a Weir node";

impl Origin {
    /// Parses a URL of the stream's WebSocket or WHEP endpoint, or of a node; with the URL of a node, the stream is `app`/`name`.
    /// Returns `None` if the URL has neither scheme. An error never repeats the URL.
    pub(super) fn parse(
        text: &str,
        app: Option<&AppName>,
        name: Option<&StreamName>,
    ) -> Option<Result<Self, Unfit>> {
        let (kind, plain) = match (text.strip_prefix("weir+ws"), text.strip_prefix("whep+http")) {
            (Some(plain), _) => (OriginProtocol::Ws, plain),
            (None, Some(plain)) => (OriginProtocol::Whep, plain),
            (None, None) => return None,
        };
        Some(Self::read(kind, plain, app, name))
    }

    /// Parses a URL; `plain` is the part after `http`.
    fn read(
        kind: OriginProtocol,
        plain: &str,
        app: Option<&AppName>,
        name: Option<&StreamName>,
    ) -> Result<Self, Unfit> {
        let how = || Unfit::Remedy(if kind == OriginProtocol::Ws { WS } else { WHEP });
        let mut url = reqwest::Url::parse(&format!("http{plain}")).map_err(|_| how())?;
        if !matches!(url.scheme(), "http" | "https")
            || !url.has_host()
            || !url.username().is_empty()
            || url.password().is_some()
            || url.fragment().is_some()
        {
            return Err(how());
        }
        let token = token(kind, &mut url)?;
        let path = url.path().to_owned();
        let end = format!("/{}", kind.part());
        let stream =
            path.strip_suffix(&end).and_then(|path| path.rsplit_once("/stream/")).map(|(_, stream)| stream);
        let parsed = |stream: &str| {
            let (app, name) = stream.rsplit_once('/')?;
            Some((app.parse().ok()?, name.parse().ok()?))
        };
        let stream = match stream {
            Some(stream) => Some(parsed(stream).ok_or_else(how)?),
            None if path == "/" => {
                let (app, name) = app.cloned().zip(name.cloned()).ok_or_else(how)?;
                url.set_path(&format!("/stream/{app}/{name}{end}"));
                Some((app, name))
            }
            None if kind == OriginProtocol::Ws => return Err(how()),
            // The URL is of a server other than a Weir node.
            None => None,
        };
        Ok(Self { kind, url, token, stream })
    }

    /// Returns host and port, for messages.
    pub(crate) fn host(&self) -> String {
        host_of(&self.url)
    }
}

/// Returns host and port of a URL, for messages.
pub(crate) fn host_of(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Removes `token` from the arguments of the URL and returns it. A WHEP server may have other arguments.
fn token(kind: OriginProtocol, url: &mut reqwest::Url) -> Result<Option<Secret>, Unfit> {
    let mut token = None;
    let mut others = Vec::new();
    for (key, value) in url.query_pairs().into_owned() {
        match key.as_str() {
            "token" if !value.is_empty() => token = Some(Secret::new(value)),
            "token" => return Err(Unfit::Remedy("token= is empty")),
            _ if kind == OriginProtocol::Ws => {
                return Err(Unfit::Remedy("has an argument that is not token=TOKEN"));
            }
            _ => others.push((key, value)),
        }
    }
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    Ok(token)
}
