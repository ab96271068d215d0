//! Where a stream is at another Weir node: `weir+ws://` and `weir+wss://`.

use weir_model::{AppName, Secret, StreamName};

use super::check::Unfit;

/// A stream of another node.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Of its WebSocket, as `http://` or `https://` and without the token.
    pub url: reqwest::Url,
    /// The token that the operator has written; without it, one is minted.
    pub token: Option<Secret>,
    /// The application there.
    pub app: AppName,
    /// The public name there.
    pub name: StreamName,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let token = |origin: &Self| origin.token.as_ref().map(Secret::digest);
        (&self.url, token(self)) == (&other.url, token(other))
    }
}

impl Eq for Origin {}

const HOW: &str = "write it as weir+wss://live.example.org/stream/APP/NAME/ws, or as weir+wss://live.example.org for \
                   the stream of the same application and name";

impl Origin {
    /// Understands a URL: that of the stream's WebSocket, or that of a node, of which it is the stream `app`/`name` then. An error never
    /// repeats the URL.
    pub(super) fn parse(text: &str, app: Option<&AppName>, name: Option<&StreamName>) -> Result<Self, Unfit> {
        let plain = text.strip_prefix("weir+ws").ok_or(Unfit::Remedy(HOW))?;
        let mut url = reqwest::Url::parse(&format!("http{plain}")).map_err(|_| Unfit::Remedy(HOW))?;
        if !url.has_host()
            || !url.username().is_empty()
            || url.password().is_some()
            || url.fragment().is_some()
        {
            return Err(Unfit::Remedy(HOW));
        }
        let token = token(&url)?;
        url.set_query(None);
        let path = url.path().to_owned();
        let stream =
            path.strip_suffix("/ws").and_then(|path| path.rsplit_once("/stream/")).map(|(_, stream)| stream);
        let (app, name) = match stream {
            Some(stream) => {
                let (app, name) = stream.rsplit_once('/').ok_or(Unfit::Remedy(HOW))?;
                (app.parse().ok(), name.parse().ok())
            }
            None if path == "/" => (app.cloned(), name.cloned()),
            None => (None, None),
        };
        let (app, name) = app.zip(name).ok_or(Unfit::Remedy(HOW))?;
        if stream.is_none() {
            url.set_path(&format!("/stream/{app}/{name}/ws"));
        }
        Ok(Self { url, token, app, name })
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn token(url: &reqwest::Url) -> Result<Option<Secret>, Unfit> {
    let mut token = None;
    for (key, value) in url.query_pairs() {
        if key != "token" || value.is_empty() {
            return Err(Unfit::Remedy("has an argument that is not token=TOKEN"));
        }
        token = Some(Secret::new(value.into_owned()));
    }
    Ok(token)
}
