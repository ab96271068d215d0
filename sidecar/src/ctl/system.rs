//! System functions for commands.

use super::error::Error;

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::System(format!("no runtime: {e}")))
}

/// Returns unpredictable bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::System(format!("no random bytes: {e}")))?;
    Ok(bytes)
}
