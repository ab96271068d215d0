//! Changes of the state file, and what comes of them.

use std::{fs::File, path::PathBuf, rc::Rc};

use weir_model::{
    Digest, KeyId,
    api::ApiError,
    state_file::{Change, ChangeError, State},
    token::Revocation,
};
use weir_zone::Shown;

/// A change that was made.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Why it may be lost with the machine.
    pub doubt: Option<String>,
    /// Keys and targets in the file.
    pub count: (usize, usize),
    /// Where a file that could not be read is now.
    pub set_aside: Option<PathBuf>,
    /// Checksum and body of the file, where they were asked for.
    pub read: Option<Rc<(Digest, String)>>,
}

/// What comes of a change.
pub type Outcome = Result<Done, ApiError>;

/// What is to be written.
#[derive(Clone)]
pub(super) enum Wanted {
    Change(Box<Change>),
    /// Keys, targets and revoked tokens as they are, in the place of a file that cannot be read.
    Save,
    /// What was revoked.
    Revocations,
    /// Nothing: what is in the file is asked for.
    Read,
}

/// What is revoked in the zone, while the state file may not say so.
#[derive(Clone, Default)]
pub(super) struct Unsaved {
    pub(super) keys: Vec<KeyId>,
    pub(super) tokens: Vec<Revocation>,
}

pub(super) struct Written {
    /// What the file had before; `None` when it was made from the zone.
    pub(super) before: Option<Digest>,
    /// What came of each change.
    pub(super) outcomes: Vec<Result<(), ChangeError>>,
    pub(super) state: State,
    pub(super) shown: Shown,
    pub(super) doubt: Option<String>,
    pub(super) set_aside: Option<PathBuf>,
    /// Held until the zone shows the same.
    pub(super) _lock: File,
}
