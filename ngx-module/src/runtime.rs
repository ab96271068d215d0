//! What a running configuration gives to the workers: the zone, the secret, the keys of files.

use std::{cell::Cell, path::PathBuf, rc::Rc};

use weir_model::{Digest, KeyId, key::StreamKey, target::Target, token::Signer};
use weir_zone::WorkerId;

use crate::{
    ffi::{
        process::{self, Local},
        session,
        zone::SharedZone,
    },
    hooks::publish::Publish,
    settings::MainSettings,
};

/// The running configuration, in one process.
pub struct Runtime {
    /// The memory that all workers share.
    pub zone: SharedZone,
    /// The state file, where there is one.
    pub state_path: Option<PathBuf>,
    /// Checks and signs tokens, where `weir_secret` gave the secret.
    pub signer: Option<Signer>,
    /// The keys of all `weir_key_file`, by their digests.
    pub file_keys: Vec<StreamKey>,
    /// The targets of all `weir_push_to`.
    pub file_targets: Vec<Rc<Target>>,
    /// Streams are pushed from worker to worker.
    pub auto_push: bool,
    /// The names of all applications.
    pub applications: Vec<String>,
    /// The worker's row, with the process that registered it: a forked worker has its own.
    worker: Cell<Option<(u32, WorkerId)>>,
}

static CURRENT: Local<Option<Rc<Runtime>>> = Local::new(None);

/// The running configuration; `None` without a zone.
#[must_use]
pub fn current() -> Option<Rc<Runtime>> {
    CURRENT.with(|current| current.clone())
}

/// Another configuration runs from now on. Returns whether it took over in this very process, which has
/// connections: `master_process off`.
pub fn replace(zone: Option<SharedZone>, settings: &mut MainSettings) -> bool {
    let before = CURRENT.with(Option::take);
    let worker = before.as_ref().and_then(|before| before.worker.get());
    settings.file_keys.sort_by(|a, b| file_digest(a).cmp(&file_digest(b)));
    let next = zone.map(|zone| {
        Rc::new(Runtime {
            zone,
            state_path: settings.state_path.take(),
            signer: settings.signer.take(),
            file_keys: std::mem::take(&mut settings.file_keys),
            file_targets: std::mem::take(&mut settings.file_targets),
            auto_push: settings.auto_push,
            applications: std::mem::take(&mut settings.applications),
            worker: Cell::new(worker),
        })
    });
    if next.is_none() {
        // In a single process the sessions go on, and the rows are unmapped with the zone.
        session::each(|session| {
            if let Some(state) = session.state() {
                state.publish = Publish::Idle;
                state.playing = None;
                state.pushes.clear();
            }
        });
    }
    CURRENT.with(|current| *current = next);
    worker.is_some_and(|(pid, _)| pid == process::pid())
}

impl Runtime {
    /// This process's row in the zone.
    pub fn worker(&self) -> Option<WorkerId> {
        self.worker.get().filter(|(pid, _)| *pid == process::pid()).map(|(_, worker)| worker)
    }

    pub(crate) fn set_worker(&self, worker: WorkerId) {
        self.worker.set(Some((process::pid(), worker)));
    }

    /// The key of a file with this digest, that of the application if several have it.
    #[must_use]
    pub fn file_key(&self, app: &str, digest: &Digest) -> Option<&StreamKey> {
        let from = self.file_keys.partition_point(|key| file_digest(key) < Some(digest.bytes()));
        let found = self.file_keys[from..]
            .iter()
            .take_while(|key| key.secrets.first().is_some_and(|secret| secret.digest == *digest));
        found.clone().find(|key| key.app.as_str() == app).or_else(|| found.clone().next())
    }

    /// Whether a key of a file has this id.
    #[must_use]
    pub fn is_file_key(&self, id: KeyId) -> bool {
        self.file_keys.iter().any(|key| key.id == id)
    }
}

/// A key of a file has one secret.
fn file_digest(key: &StreamKey) -> Option<&[u8; 32]> {
    key.secrets.first().map(|secret| secret.digest.bytes())
}
