//! `peer`, `pair_file` and `pair_secret_file` of `[cluster]`: the other node of a pair.

use std::path::{Path, PathBuf};

use weir_model::link::Base;

use crate::config::check::{Checked, Text, absolute, parsed, problem, text_or};

/// The other node of a pair: both nodes share keys, targets, bans and administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Pages of the other node.
    pub peer: Base,
    /// Database of the shared state.
    pub file: PathBuf,
    /// Secret that signs and encrypts the messages between the nodes. Only the two nodes may have it, because it can create
    /// administrators.
    pub secret_file: PathBuf,
}

/// Default database of the shared state.
const PAIR_FILE: &str = "/var/lib/weir/pair.db";

/// Checks the settings of a pair. `shared` is the secret that edges and load balancers also have.
pub(super) fn pair([peer, file, secret]: [&Text; 3], shared: Option<&Path>) -> Checked<Option<Pair>> {
    let read = |text: &str| parsed::<Base>(text.trim_end_matches('/')).map(Some);
    let address = text_or("peer", peer, || None, read)?;
    let file = text_or("pair_file", file, || PAIR_FILE.into(), absolute)?;
    let secret_file = text_or("pair_secret_file", secret, || None, |text| absolute(text).map(Some))?;
    let (Some(address), Some(text)) = (address, peer) else { return Ok(None) };
    match (secret_file, secret) {
        (Some(secret_file), Some(text)) if shared == Some(&secret_file) => {
            problem(text, "pair_secret_file: must be another file than secret_file, which edges have, too")
        }
        (Some(secret_file), _) => Ok(Some(Pair { peer: address, file, secret_file })),
        (None, _) => problem(text, "peer: needs pair_secret_file, with a secret that only both nodes have"),
    }
}
