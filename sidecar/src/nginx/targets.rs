//! Creates, lists and removes push targets.

use reqwest::Method;
use serde::Deserialize;
use weir_model::target::{NewTarget, TargetId, TargetView};

use super::{Answer, Error, Nginx};

/// Answer of `GET /v1/targets` with all fields of each target.
#[derive(Debug, Deserialize)]
pub(crate) struct TargetList {
    /// The targets with their pushes.
    pub targets: Vec<TargetView>,
}

/// Answer of `DELETE /v1/targets/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Removed {}

impl Nginx {
    /// Creates a target.
    pub(crate) async fn create_target(&self, target: &NewTarget) -> Result<Answer<TargetView>, Error> {
        self.ask(Method::POST, "v1/targets", Some(target)).await
    }

    /// Returns all targets, with their secrets masked.
    pub(crate) async fn target_list(&self) -> Result<Answer<TargetList>, Error> {
        self.ask(Method::GET, "v1/targets", None::<&()>).await
    }

    /// Stops the pushes to a target and deletes it.
    pub(crate) async fn remove_target(&self, id: TargetId) -> Result<Answer<Removed>, Error> {
        self.ask(Method::DELETE, &format!("v1/targets/{id}"), None::<&()>).await
    }
}
