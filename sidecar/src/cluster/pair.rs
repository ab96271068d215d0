//! Two restream servers as one: keys, targets, bans, revoked tokens and administrators are the same on both, on whichever node they are
//! edited.
//!
//! Each daemon checks its own node four times per second ([`sources`]), and records each edit in a log ([`table`]) with the clock of its
//! node. The daemons exchange new entries ([`node`], [`exchange`]), signed and sealed, and apply the valid versions to their nodes.
//! [`entry`] decides which version is valid, without a third party. While the nodes cannot reach each other, both may be edited. Afterwards
//! both have the same state: a revocation is valid, and otherwise the later edit.
//!
//! There is no leader and no quorum: with two nodes, a node that is cut off could never be edited.

use std::sync::Arc;

use super::figures::folders;
use super::signature::{Key, SecretOf};
use crate::chat::Chat;
use crate::config::Config;

pub(crate) mod entry;
mod exchange;
mod follow;
pub(crate) mod marks;
mod node;
pub(crate) mod seal;
pub(crate) mod sources;
pub(crate) mod table;
pub(crate) mod twins;
pub(crate) mod wire;

pub(crate) use node::{Error, NO_LETTERS, Pair, View};
pub(crate) use wire::MAX_LETTER;

use sources::Sources;

/// Starts this node as configured, or returns `None` without `peer`. The node runs on a thread of its own until the process ends.
pub(crate) fn start(config: &Config, chat: &Arc<Chat>) -> Result<Option<Arc<Pair>>, Error> {
    let Some(settings) = &config.cluster.pair else { return Ok(None) };
    let key = Key::read(SecretOf::Pair, &settings.secret_file)?;
    if let Some(shared) = &config.cluster.secret_file
        && Key::read(SecretOf::Cluster, shared)? == key
    {
        return Err(Error::SameSecret);
    }
    let token = key.replica_token().ok_or_else(|| Error::System("no token".into()))?;
    if let Some(key) = key.derive("weir-chat-address-1") {
        chat.share_addresses(key);
    }
    let sources = Sources::new(&config.nginx, &config.web.admins_file, chat.clone(), &token)?;
    let nginx = Sources::client(&config.nginx)?;
    let pair = Arc::new(Pair::open(settings, key, Some(chat.clone()))?);
    let failed = |error: std::io::Error| Error::System(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (of, folders) = (pair.clone(), folders(config));
    let run = move || {
        runtime.block_on(async {
            tokio::join!(follow::run(of.clone(), sources), exchange::run(of, nginx, folders));
        });
    };
    std::thread::Builder::new().name("weir-pair".into()).spawn(run).map_err(failed)?;
    tracing::info!("pair with {}", settings.peer.as_str());
    Ok(Some(pair))
}
