//! Changes of the state file, and their outcomes.

use std::{fs::File, path::PathBuf, rc::Rc};

use weir_model::{
    Digest, KeyId,
    api::ApiError,
    event::By,
    state_file::{Change, ChangeError, State},
    token::Revocation,
};
use weir_zone::Shown;

/// A change that was made.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The reason if the change may be lost when the machine loses power.
    pub doubt: Option<String>,
    /// Number of keys and of targets in the file.
    pub count: (usize, usize),
    /// The new path of a file that could not be read.
    pub set_aside: Option<PathBuf>,
    /// Checksum and body of the file, if they were requested.
    pub read: Option<Rc<(Digest, String)>>,
}

/// Outcome of a change.
pub type Outcome = Result<Done, ApiError>;

/// A task for the writer.
#[derive(Clone)]
pub(super) enum Wanted {
    /// A change, by this program.
    Change(Box<Change>, By),
    /// Write keys, targets and revoked tokens from memory, in place of a file that cannot be read.
    Save,
    /// Write the revocations.
    Revocations,
    /// Write nothing, and return the content of the file.
    Read,
}

/// Revocations in the zone that the state file may not have yet.
#[derive(Clone, Default)]
pub(super) struct Unsaved {
    pub(super) keys: Vec<KeyId>,
    pub(super) tokens: Vec<Revocation>,
}

pub(super) struct Written {
    /// The content of the file before; `None` if the content was made from the zone.
    pub(super) before: Option<Digest>,
    /// The outcome of each change.
    pub(super) outcomes: Vec<Result<(), ChangeError>>,
    pub(super) state: State,
    pub(super) shown: Shown,
    pub(super) doubt: Option<String>,
    pub(super) set_aside: Option<PathBuf>,
    /// The lock, which is kept until the zone shows the same content.
    pub(super) _lock: File,
}
