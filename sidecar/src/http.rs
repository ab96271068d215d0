//! HTTP clients with the settings that all of Weir's clients share.

use std::path::Path;
use std::sync::OnceLock;

use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder};

mod body;
pub(crate) mod public;

pub(crate) use body::{BodyError, body};

/// Certificates trusted in addition to the system's: `ca_file` of `[daemon]`.
static TRUSTED: OnceLock<Vec<Certificate>> = OnceLock::new();

/// Error that makes a certificate file unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The file contains no certificate.
    #[error("has no certificate: write those of the authorities in PEM, from -----BEGIN CERTIFICATE----- on")]
    Empty,
    /// The file contains an invalid certificate.
    #[error("has no valid certificates in PEM: {0}")]
    Invalid(String),
}

/// Reads certificates of authorities from a PEM file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<Certificate>, CaError> {
    let invalid = |error: reqwest::Error| CaError::Invalid(innermost(&error));
    let found = Certificate::from_pem_bundle(&std::fs::read(file)?).map_err(invalid)?;
    if found.is_empty() {
        return Err(CaError::Empty);
    }
    // Only building a client parses the certificates.
    bare().tls_certs_only(found.clone()).build().map_err(invalid)?;
    Ok(found)
}

/// Makes every client that is created later trust the authorities of a file too, until the process ends.
pub(crate) fn trust(file: &Path) -> Result<(), CaError> {
    let _ = TRUSTED.set(certificates(file)?);
    Ok(())
}

/// Returns a client that connects only to the requested server: it uses no proxy from the environment, so that no proxy sees
/// requests or tokens, and follows no redirect.
pub(crate) fn client() -> ClientBuilder {
    match TRUSTED.get() {
        Some(trusted) => bare().tls_certs_merge(trusted.iter().cloned()),
        None => bare(),
    }
}

/// Returns the same client without `ca_file`, for callers that name their own authorities.
pub(crate) fn bare() -> ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
}

/// Returns the innermost cause of an error: the outer errors of `reqwest` only repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
