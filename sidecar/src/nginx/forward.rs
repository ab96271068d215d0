//! Passes requests and answers of the module on for other parts of the daemon.

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Error, Nginx};

impl Nginx {
    /// Sends a request for any path of the API. `path` has no leading slash, and each of its parts is encoded.
    pub(crate) async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer<Value>, Error> {
        self.ask(method, path, body).await
    }
}
