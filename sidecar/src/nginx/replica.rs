//! The state that the nodes of a pair share, and whether this node pushes.

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use weir_model::Secret;
use weir_model::event::By;

use super::{Answer, Error, Nginx};

/// Answer of `GET /v1/replica`. It contains hashes of keys and URLs of targets, so it has no `Debug`.
#[derive(Deserialize)]
pub(crate) struct Replica {
    /// Tag that differs for each state.
    pub tag: String,
    /// `None` if the tag equals the tag of the request.
    #[serde(default)]
    pub state: Option<ReplicaState>,
    /// Keys that are banned.
    #[serde(default)]
    pub bans: Vec<Banned>,
}

/// Content of the state file.
#[derive(Deserialize)]
pub(crate) struct ReplicaState {
    /// Generation, which each change increments.
    pub generation: u64,
    /// The keys of the API.
    pub keys: Vec<Value>,
    /// The targets of the API.
    pub targets: Vec<Value>,
    /// Revoked tokens.
    #[serde(default)]
    pub revocations: Vec<Value>,
    /// Mark by which a daemon recognizes the file.
    #[serde(default)]
    pub mark: Option<String>,
}

/// A key that is refused for a while.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Banned {
    /// Id of the key.
    pub key: String,
    /// End of the ban.
    pub until: weir_model::Timestamp,
}

/// Answer of `GET /v1/pushes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Pushes {
    /// No stream is pushed from this node.
    pub held: bool,
    /// The node belongs to a pair.
    pub paired: bool,
}

impl Nginx {
    /// Returns the same client with another token.
    pub(crate) fn bearing(mut self, token: &Secret) -> Self {
        self.bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Returns the same client; its changes count as changes of the other node of a pair.
    pub(crate) fn for_pair(mut self) -> Self {
        self.program = By::Pair;
        self
    }

    /// Returns the shared state of the pair, unless its tag is `known`.
    pub(crate) async fn replica(&self, known: Option<&str>) -> Result<Replica, Error> {
        let path = known.map_or_else(|| "v1/replica".to_owned(), |tag| format!("v1/replica?not={tag}"));
        Ok(self.ask(Method::GET, &path, None::<&()>).await?.value)
    }

    /// Applies one change of the other node.
    pub(crate) async fn put_replica(&self, change: &Value) -> Result<(), Error> {
        self.ask::<Value>(Method::PUT, "v1/replica", Some(change)).await.map(drop)
    }

    /// Returns whether this node pushes. Returns `None` if the module is older than pairs.
    pub(crate) async fn pushes(&self) -> Result<Option<Pushes>, Error> {
        match self.ask(Method::GET, "v1/pushes", None::<&()>).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds or releases all pushes of this node.
    pub(crate) async fn hold_pushes(&self, held: bool) -> Result<Answer<Pushes>, Error> {
        self.ask(Method::PUT, "v1/pushes", Some(&serde_json::json!({ "held": held }))).await
    }
}
