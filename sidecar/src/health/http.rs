//! Any HTTP server.

use super::Step;
use super::web::{Web, WebUrl, answered};

/// One request; its status must be `wanted`, or any 2xx.
pub async fn check(step: &Step, url: &WebUrl, wanted: Option<u16>) -> Result<String, String> {
    step.is("answer");
    let status = Web::default().get(url).await?.status();
    let right = wanted.map_or(status.is_success(), |wanted| status.as_u16() == wanted);
    if right { Ok(answered(status)) } else { Err(answered(status)) }
}
