//! Checks any HTTP server.

use super::Step;
use super::web::{Error, Web, WebUrl};

/// Sends one request. Its status must be `wanted`, or any 2xx by default.
pub(crate) async fn check(step: &Step, url: &WebUrl, wanted: Option<u16>) -> Result<String, Error> {
    step.is("answer");
    let status = Web::default().get(url).await?.status();
    let right = wanted.map_or(status.is_success(), |wanted| status.as_u16() == wanted);
    let answered = Error::Answered(status);
    if right { Ok(answered.to_string()) } else { Err(answered) }
}
