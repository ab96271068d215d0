//! Queries to the origin's daemon over its socket: the list of edges, drains, and tickets with which new edges join.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use weir_model::Secret;

use super::error::Error;
use crate::cluster::origin::View;
use crate::daemon::client::{self, Client};

/// A client of the origin's daemon.
#[derive(Debug)]
pub(super) struct Origin(Client);

#[derive(Deserialize)]
struct Edges {
    edges: Vec<View>,
    stale: Option<String>,
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

impl Origin {
    pub(super) fn at(socket: &Path) -> Result<Self, Error> {
        Ok(Self(Client::new(socket)?))
    }

    /// Returns the edges that the origin knows.
    ///
    /// # Errors
    ///
    /// The query fails, or the list may be out of date.
    pub(super) async fn edges(&self) -> Result<Vec<View>, Error> {
        let text = self.0.ask(Method::GET, &["v1", "edges"]).await?;
        let answer: Edges = serde_json::from_str(&text).map_err(|error| Error::Answer(error.to_string()))?;
        match answer.stale {
            None => Ok(answer.edges),
            Some(why) => Err(Error::Answer(format!("the list of edges may be out of date: {why}"))),
        }
    }

    /// Drains an edge, so that it gets no more viewers, or ends the drain. An edge that the origin does not know is no error.
    pub(super) async fn drain(&self, name: &str, drained: bool) -> Result<(), Error> {
        let action = if drained { "drain" } else { "undrain" };
        match self.0.ask(Method::POST, &["v1", "edges", name, action]).await {
            Err(client::Error::Refused(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a ticket for one edge, valid for one join.
    pub(super) async fn ticket(
        &self,
        name: &str,
        valid: Duration,
        credential: Duration,
    ) -> Result<Secret, Error> {
        let query =
            [("ttl_s", valid.as_secs().to_string()), ("credential_s", credential.as_secs().to_string())];
        let text = self.0.ask_for(Method::POST, &["v1", "edges", name, "ticket"], &query).await?;
        let answer: Ticket = serde_json::from_str(&text).map_err(|error| Error::Answer(error.to_string()))?;
        Ok(Secret::new(answer.ticket))
    }
}
