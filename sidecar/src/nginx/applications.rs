//! The applications of an nginx, and the ticket of the daemon's own players.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use weir_model::Secret;

use super::{Error, Nginx};

/// An application of `GET /v1/applications`. The API may send more fields.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Application {
    /// Name, as in `application live { ... }`.
    pub name: String,
    /// Value of `weir_publish`: `key`, `open` or `off`.
    #[serde(default)]
    pub publish: Option<String>,
    /// Value of `weir_push`.
    #[serde(default)]
    pub push: Option<bool>,
    /// Value of `weir_play` over RTMP: `token` or `off`.
    #[serde(default)]
    pub play: Option<String>,
    /// Value of `weir_play` of a location for HLS and DASH: `token` or `off`.
    #[serde(default)]
    pub play_http: Option<String>,
    /// Whether it writes HLS.
    #[serde(default)]
    pub hls: Option<bool>,
    /// Port of the first `server` block.
    #[serde(default)]
    pub rtmp_port: Option<u16>,
}

impl Application {
    /// Returns whether `weir_play` protects the application, as far as nginx reports it.
    pub(crate) fn needs_play_token(&self) -> bool {
        [&self.play, &self.play_http].into_iter().flatten().any(|play| play == "token")
    }

    /// Returns the same for RTMP alone, or `None` if an older module does not report it.
    pub(crate) fn needs_token_over_rtmp(&self) -> Option<bool> {
        self.play.as_ref().map(|play| play == "token")
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
    /// Returns the applications of nginx.conf, or `None` if the module does not list them.
    pub(crate) async fn applications(&self) -> Result<Option<Vec<Application>>, Error> {
        let answer = self.ask::<Applications>(Method::GET, "v1/applications", None::<&()>).await;
        absent_is_none(answer.map(|answer| answer.value.applications))
    }

    /// Returns the ticket with which a player on nginx's machine is not counted, in the arguments of `play`. Returns `None` if the module
    /// counts all players.
    pub(crate) async fn player_ticket(&self) -> Result<Option<Secret>, Error> {
        let answer = self.ask::<Ticket>(Method::GET, "v1/ticket", None::<&()>).await;
        absent_is_none(answer.map(|answer| Secret::new(answer.value.ticket)))
    }
}

/// An older module answers 404, and another program may answer anything. Both are no reason to stop following its streams.
fn absent_is_none<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
        Err(Error::NotTheApi { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
