//! HTTP as every client of ours speaks it.

use std::path::Path;
use std::sync::OnceLock;

use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder};

pub mod public;

/// Trusted beside the authorities of the system: `ca_file` of `[daemon]`.
static TRUSTED: OnceLock<Vec<Certificate>> = OnceLock::new();

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It has none.
    #[error("has no certificate: write those of the authorities in PEM, from -----BEGIN CERTIFICATE----- on")]
    Empty,
    /// Something is in it that is no certificate.
    #[error("has no valid certificates in PEM: {0}")]
    Invalid(String),
}

/// Reads certificates of authorities in PEM.
pub fn certificates(file: &Path) -> Result<Vec<Certificate>, CaError> {
    let invalid = |error: reqwest::Error| CaError::Invalid(innermost(&error));
    let found = Certificate::from_pem_bundle(&std::fs::read(file)?).map_err(invalid)?;
    if found.is_empty() {
        return Err(CaError::Empty);
    }
    // Only a client looks into them.
    bare().tls_certs_only(found.clone()).build().map_err(invalid)?;
    Ok(found)
}

/// Has every client that is made from now on trust the authorities of a file too, until the process ends.
pub fn trust(file: &Path) -> Result<(), CaError> {
    let _ = TRUSTED.set(certificates(file)?);
    Ok(())
}

/// A client that asks who it is told to ask: no proxy of the environment sees requests or tokens, and no answer leads it
/// elsewhere.
pub fn client() -> ClientBuilder {
    match TRUSTED.get() {
        Some(trusted) => bare().tls_certs_merge(trusted.iter().cloned()),
        None => bare(),
    }
}

/// The same without `ca_file`, for what names its authorities itself.
pub fn bare() -> ClientBuilder {
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
