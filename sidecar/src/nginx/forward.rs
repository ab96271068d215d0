//! What others are told of the module's answers, as they came.

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Error, Nginx};

impl Nginx {
    /// Asks for any path of the API; `path` has no slash in front, and each of its parts is encoded.
    pub async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer<Value>, Error> {
        self.ask(method, path, body).await
    }
}
