//! What an nginx is: its applications, and the ticket of the daemon's own players.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use weir_model::Secret;

use super::{Error, Nginx};

/// One of `GET /v1/applications`; the API may say more than is read here.
#[derive(Clone, Debug, Deserialize)]
pub struct Application {
    /// As in `application live { ... }`.
    pub name: String,
    /// `weir_publish`: `key`, `open` or `off`.
    #[serde(default)]
    pub publish: Option<String>,
    /// `weir_push`
    #[serde(default)]
    pub push: Option<bool>,
    /// `weir_play` over RTMP: `token` or `off`.
    #[serde(default)]
    pub play: Option<String>,
    /// `weir_play` of some location for HLS and DASH, likewise.
    #[serde(default)]
    pub play_http: Option<String>,
    /// Where its first `server` block listens.
    #[serde(default)]
    pub rtmp_port: Option<u16>,
}

impl Application {
    /// Whether `weir_play` protects it, as far as nginx tells.
    pub fn needs_play_token(&self) -> bool {
        [&self.play, &self.play_http].into_iter().flatten().any(|play| play == "token")
    }
}

#[derive(Deserialize)]
struct Applications {
    applications: Vec<Application>,
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

impl Nginx {
    /// The applications of nginx.conf; `None` from a module that does not tell them.
    pub async fn applications(&self) -> Result<Option<Vec<Application>>, Error> {
        let answer = self.ask::<Applications>(Method::GET, "v1/applications", None::<&()>).await;
        absent_is_none(answer.map(|answer| answer.value.applications))
    }

    /// With this in the arguments of `play`, a player on nginx's machine is not counted; `None` from a module that counts all.
    pub async fn player_ticket(&self) -> Result<Option<Secret>, Error> {
        let answer = self.ask::<Ticket>(Method::GET, "v1/ticket", None::<&()>).await;
        absent_is_none(answer.map(|answer| Secret::new(answer.value.ticket)))
    }
}

/// An older module answers 404; another program in its place may answer anything. Neither is a reason not to follow its streams.
fn absent_is_none<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
        Err(Error::NotTheApi { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
