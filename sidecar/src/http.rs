//! HTTP as every client of ours speaks it.

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;

pub mod public;

/// A client that asks who it is told to ask: no proxy of the environment sees requests or tokens, and no answer leads it
/// elsewhere.
pub fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
}

/// The last of an error's causes: the others of `reqwest` only repeat the URL.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
