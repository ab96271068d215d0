//! `peer` and `pair_file` of `[cluster]`: the other node of a pair.

use std::path::{Path, PathBuf};

use weir_model::link::Base;

use crate::config::check::{Checked, Text, absolute, parsed, problem, text_or};

/// The other node of a pair, with which keys, targets, bans and administrators are in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its pages.
    pub peer: Base,
    /// What both know is kept here.
    pub file: PathBuf,
    /// Letters are signed and sealed with it.
    pub secret_file: PathBuf,
}

/// Where what both know is kept by default.
const PAIR_FILE: &str = "/var/lib/weir/pair.db";

pub(super) fn pair(peer: &Text, file: &Text, secret: Option<&Path>) -> Checked<Option<Pair>> {
    let read = |text: &str| parsed::<Base>(text.trim_end_matches('/')).map(Some);
    let address = text_or("peer", peer, || None, read)?;
    let file = text_or("pair_file", file, || PAIR_FILE.into(), absolute)?;
    let (Some(address), Some(text)) = (address, peer) else { return Ok(None) };
    let Some(secret_file) = secret.map(Path::to_owned) else {
        return problem(text, "peer: needs secret_file, the same file on both nodes");
    };
    Ok(Some(Pair { peer: address, file, secret_file }))
}
