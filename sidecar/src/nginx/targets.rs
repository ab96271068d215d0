//! Push targets, as they are made, listed and removed.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use weir_model::ServerAddr;
use weir_model::target::{TargetId, TargetView};

use super::{Answer, Error, Nginx};

/// `POST /v1/targets`. The URL is a secret: it cannot be printed.
#[derive(Serialize)]
pub struct NewTarget<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name or `*`.
    pub stream: &'a str,
    /// The `server` block that it is limited to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<&'a ServerAddr>,
    /// With all that is secret in it.
    pub url: &'a str,
    /// Whether it is pushed to.
    pub enabled: bool,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'a str>,
}

/// `GET /v1/targets`, with all that is told of each.
#[derive(Debug, Deserialize)]
pub struct TargetList {
    /// Each of them.
    pub targets: Vec<TargetView>,
}

/// `DELETE /v1/targets/{id}`
#[derive(Debug, Deserialize)]
pub struct Removed {}

impl Nginx {
    /// Makes a target.
    pub async fn create_target(&self, target: &NewTarget<'_>) -> Result<Answer<TargetView>, Error> {
        self.ask(Method::POST, "v1/targets", Some(target)).await
    }

    /// All targets, what is secret in them masked.
    pub async fn target_list(&self) -> Result<Answer<TargetList>, Error> {
        self.ask(Method::GET, "v1/targets", None::<&()>).await
    }

    /// Ends the pushes to a target and forgets it.
    pub async fn remove_target(&self, id: TargetId) -> Result<Answer<Removed>, Error> {
        self.ask(Method::DELETE, &format!("v1/targets/{id}"), None::<&()>).await
    }
}
