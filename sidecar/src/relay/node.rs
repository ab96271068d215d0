//! One stream of another node that is taken.

use std::path::PathBuf;
use std::sync::Arc;

use weir_model::{AppName, Secret, StreamName};

use super::error::Error;
use super::paths::Paths;
use super::recent::Recents;
use crate::config::origin::Origin;
use crate::config::{Jobs, RtmpServer};
use crate::publisher::token;
use crate::streams::StreamId;
use crate::supervise::helpers::Helpers;

/// From another node to the nginx of this machine.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The stream at the other node.
    pub origin: Origin,
    /// The nginx.
    pub server: RtmpServer,
    /// Its application.
    pub app: AppName,
    /// The public name there.
    pub name: StreamName,
    /// A copy of nginx's `weir_secret`: publish tokens are minted with it, and play tokens for nodes that share it.
    pub secret_file: PathBuf,
    /// Over which nodes the streams of this node came.
    pub paths: Arc<Paths>,
    /// Where the newest media is kept.
    pub recents: Arc<Recents>,
    /// The far end gets a token of this node, if it needs one.
    pub mints: bool,
    /// How programs are started.
    pub jobs: Jobs,
    /// The programs beside jobs: one makes AAC.
    pub helpers: Arc<Helpers>,
}

impl Relay {
    /// That of the URL, or one that a node with the same secret takes, where nobody else may read it.
    pub(super) fn token(&self) -> Result<Option<Secret>, Error> {
        let Origin { token, stream, .. } = &self.origin;
        match (token, stream) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some((app, name))) if self.mints => Ok(Some(token::play(&self.secret_file, app, name)?)),
            (None, _) => Ok(None),
        }
    }

    pub(super) fn id(&self) -> StreamId {
        (self.app.clone(), self.name.clone())
    }
}
