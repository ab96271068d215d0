//! What the nodes of a pair have in common, and whether this node pushes.

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use weir_model::Secret;

use super::{Answer, Error, Nginx};

/// `GET /v1/replica`. It has hashes of keys and URLs of targets: it cannot be printed.
#[derive(Deserialize)]
pub struct Replica {
    /// Another one for each state.
    pub tag: String,
    /// None where the tag is the one that was asked with.
    #[serde(default)]
    pub state: Option<ReplicaState>,
    /// Keys that are refused.
    #[serde(default)]
    pub bans: Vec<Banned>,
}

/// The state file.
#[derive(Deserialize)]
pub struct ReplicaState {
    /// Goes up with each change.
    pub generation: u64,
    /// The keys of the API.
    pub keys: Vec<Value>,
    /// The targets of the API.
    pub targets: Vec<Value>,
    /// Tokens that are revoked.
    #[serde(default)]
    pub revocations: Vec<Value>,
    /// By which a daemon knows the file again.
    #[serde(default)]
    pub mark: Option<String>,
    /// Nothing is pushed.
    #[serde(default)]
    pub held: bool,
}

/// A key that is refused for a while.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Banned {
    /// Its id.
    pub key: String,
    /// Until when.
    pub until: weir_model::Timestamp,
}

/// `GET /v1/pushes`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Pushes {
    /// Nothing is pushed from this node.
    pub held: bool,
    /// It is a node of a pair.
    pub paired: bool,
}

impl Nginx {
    /// The same client with another token.
    pub fn bearing(mut self, token: &Secret) -> Self {
        self.bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// All that a pair has in common, unless its tag is `known`.
    pub async fn replica(&self, known: Option<&str>) -> Result<Replica, Error> {
        let path = known.map_or_else(|| "v1/replica".to_owned(), |tag| format!("v1/replica?not={tag}"));
        Ok(self.ask(Method::GET, &path, None::<&()>).await?.value)
    }

    /// Takes over one thing of the other node.
    pub async fn put_replica(&self, change: &Value) -> Result<(), Error> {
        self.ask::<Value>(Method::PUT, "v1/replica", Some(change)).await.map(drop)
    }

    /// Whether this node pushes; none where the module is older than pairs.
    pub async fn pushes(&self) -> Result<Option<Pushes>, Error> {
        match self.ask(Method::GET, "v1/pushes", None::<&()>).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds all pushes of this node, or lets them go.
    pub async fn hold_pushes(&self, held: bool) -> Result<Answer<Pushes>, Error> {
        self.ask(Method::PUT, "v1/pushes", Some(&serde_json::json!({ "held": held }))).await
    }
}
