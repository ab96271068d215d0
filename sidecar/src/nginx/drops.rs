//! Disconnects publishers and players.

use reqwest::Method;
use weir_model::{AppName, ServerAddr, StreamName};

use super::{Answer, Dropped, Error, Nginx, encoded};
use crate::values::PlayerId;

impl Nginx {
    /// Disconnects the publisher of a stream, at one `server` block or at all of them. Its key is refused for `ban_s` seconds. The name
    /// may be any text.
    pub(crate) async fn drop_publisher(
        &self,
        app: &str,
        name: &str,
        server: Option<&ServerAddr>,
        ban_s: u64,
    ) -> Result<Answer<Dropped>, Error> {
        let mut arguments = Vec::new();
        let path = match path_of(app, name) {
            Some(path) => format!("v1/streams/{path}"),
            None => {
                arguments.push(format!("app={}&name={}", encoded(app), encoded(name)));
                "v1/streams".to_owned()
            }
        };
        if let Some(server) = server {
            arguments.push(format!("server={}", encoded(server.as_str())));
        }
        if ban_s > 0 {
            arguments.push(format!("ban_s={ban_s}"));
        }
        let sign = if arguments.is_empty() { "" } else { "?" };
        let path = format!("{path}{sign}{}", arguments.join("&"));
        self.ask(Method::DELETE, &path, None::<&()>).await
    }

    /// Disconnects a player of a stream.
    pub(crate) async fn drop_player(
        &self,
        app: &str,
        name: &str,
        id: &PlayerId,
    ) -> Result<Answer<Dropped>, Error> {
        let path = path_of(app, name).unwrap_or_else(|| format!("{}/{}", encoded(app), encoded(name)));
        self.ask(Method::DELETE, &format!("v1/streams/{path}/players/{id}"), None::<&()>).await
    }
}

/// Returns the path of a stream if its names need no encoding.
fn path_of(app: &str, name: &str) -> Option<String> {
    let (app, name) = (app.parse::<AppName>().ok()?, name.parse::<StreamName>().ok()?);
    Some(format!("{app}/{name}"))
}
