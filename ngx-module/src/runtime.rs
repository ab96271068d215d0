//! The parts of a running configuration that workers use: the zone, the secret, the keys of files.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
};

use ngx_rtmp::local;
use weir_model::{
    AppName, Digest, KeyId, Server, ServerAddr,
    key::StreamKey,
    server::ServerBlock,
    target::Target,
    token::{RevokedTokens, Signer, Verifier},
};
use weir_zone::WorkerId;

use crate::{
    process,
    settings::{ApplicationFacts, MainSettings},
    zone::{SharedZone, View},
};

/// The running configuration, in one process.
pub struct Runtime {
    /// The memory that all workers share.
    pub shared: Rc<SharedZone>,
    /// The state file, if there is one.
    pub state_path: Option<PathBuf>,
    /// Checks and signs tokens, if `weir_secret` is set. It remembers recently checked tokens.
    pub verifier: Option<Verifier>,
    /// The token for `/v1/replica`, if `weir_pair_secret` is set.
    pub replica_token: Option<Digest>,
    /// The keys of all `weir_key_file`, by their digests.
    pub file_keys: Vec<StreamKey>,
    /// The targets of all `weir_push_to`.
    pub file_targets: Vec<Rc<Target>>,
    /// Whether streams are pushed between workers.
    pub auto_push: bool,
    /// The `server` blocks, in their order.
    pub servers: Vec<ServerBlock>,
    /// The facts about applications for clients of the API.
    pub application_facts: Vec<ApplicationFacts>,
    /// The applications that a `weir_play token` of `http` protects; `None` stands for a directive without `app=`.
    pub protected_over_http: Vec<Option<String>>,
    /// The revoked tokens, with the zone's generation at that time.
    revoked: RefCell<(u64, Rc<RevokedTokens>)>,
    /// The worker's row, with the process that registered it. A forked worker registers its own row.
    worker: Cell<Option<(u32, WorkerId)>>,
}

local! {
    static CURRENT: Option<Rc<Runtime>> = None;
}

/// Returns the running configuration; `None` without a zone.
#[must_use]
pub fn current() -> Option<Rc<Runtime>> {
    CURRENT.with(|current| current.clone())
}

/// Replaces the running configuration. Returns whether this same process took over, which has connections: `master_process off`.
pub fn replace(zone: Option<SharedZone>, settings: &mut MainSettings, auto_push: bool) -> bool {
    let before = CURRENT.with(Option::take);
    let worker = before.as_ref().and_then(|before| before.worker.get());
    let mut file_keys: Vec<StreamKey> = settings.file_keys.drain(..).map(|(_, key)| key).collect();
    file_keys.sort_by(|a, b| file_digest(a).cmp(&file_digest(b)));
    let next = zone.map(|zone| {
        Rc::new(Runtime {
            shared: Rc::new(zone),
            state_path: settings.state_path.take(),
            verifier: settings.signer.take().map(Verifier::new),
            replica_token: settings.replica_token.take(),
            file_keys,
            file_targets: settings.file_targets.drain(..).map(|(_, target)| Rc::new(target)).collect(),
            auto_push,
            servers: std::mem::take(&mut settings.servers),
            application_facts: std::mem::take(&mut settings.application_facts),
            protected_over_http: std::mem::take(&mut settings.protected_over_http),
            revoked: RefCell::default(),
            worker: Cell::new(worker),
        })
    });
    CURRENT.with(|current| *current = next);
    worker.is_some_and(|(pid, _)| pid == process::pid())
}

/// Why a key or a target cannot be limited to a `server` block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// No block has the address.
    #[error("no server block listens on {addr}, known are {known}")]
    Unknown {
        /// The requested address.
        addr: ServerAddr,
        /// The first address of each block.
        known: String,
    },
    /// The block has no such application.
    #[error("the server block that listens on {addr} has no application \"{app}\"")]
    NoApplication {
        /// The requested address.
        addr: ServerAddr,
        /// The application.
        app: AppName,
    },
}

impl Runtime {
    /// Returns the memory that all workers share.
    #[must_use]
    pub fn zone(&self) -> &View<'_> {
        self.shared.view()
    }

    /// Returns the signer of tokens, if `weir_secret` is set.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        self.verifier.as_ref().map(Verifier::signer)
    }

    /// Returns the revoked tokens. Compares one number, and reads the zone only if the number has changed.
    pub fn revoked_tokens(&self) -> Rc<RevokedTokens> {
        let generation = self.zone().revocations_generation();
        // Nothing else borrows this cell now.
        if let Ok(known) = self.revoked.try_borrow()
            && known.0 == generation
        {
            return Rc::clone(&known.1);
        }
        let revocations = self.zone().lock(process::pid()).revocations();
        let revoked = Rc::new(RevokedTokens::new(revocations));
        if let Ok(mut known) = self.revoked.try_borrow_mut() {
            *known = (generation, Rc::clone(&revoked));
        }
        revoked
    }

    /// Returns this process's row in the zone.
    pub fn worker(&self) -> Option<WorkerId> {
        self.worker.get().filter(|(pid, _)| *pid == process::pid()).map(|(_, worker)| worker)
    }

    pub(crate) fn set_worker(&self, worker: WorkerId) {
        self.worker.set(Some((process::pid(), worker)));
    }

    /// Returns the key of a file with this digest. If several keys match, prefers the key of the `server` block and application, then the
    /// key of the application.
    #[must_use]
    pub fn file_key(&self, server: &Server, app: &str, digest: &Digest) -> Option<&StreamKey> {
        let from = self.file_keys.partition_point(|key| file_digest(key) < Some(digest.bytes()));
        let found = self.file_keys[from..]
            .iter()
            .take_while(|key| key.secrets.first().is_some_and(|secret| secret.digest == *digest));
        let fit = |key: &StreamKey| (key.app.as_str() == app, server.is_within(key.server.as_ref()));
        found.max_by_key(|key| fit(key))
    }

    /// Checks that keys and targets can be limited to this `server` block, in an application with this name.
    pub fn check_server(&self, server: Option<&ServerAddr>, app: &AppName) -> Result<(), ServerError> {
        let Some(addr) = server else { return Ok(()) };
        let block = self.servers.iter().find(|block| block.server.listens_on(addr));
        let block = block.ok_or_else(|| self.no_server(addr))?;
        match block.has_application(app.as_str()) {
            true => Ok(()),
            false => Err(ServerError::NoApplication { addr: addr.clone(), app: app.clone() }),
        }
    }

    /// Returns an error if no `server` block listens on this address.
    #[must_use]
    pub fn unknown_server(&self, addr: &ServerAddr) -> Option<ServerError> {
        let is_known = self.servers.iter().any(|block| block.server.listens_on(addr));
        (!is_known).then(|| self.no_server(addr))
    }

    fn no_server(&self, addr: &ServerAddr) -> ServerError {
        let known = self.servers.iter().map(|block| block.server.name()).collect::<Vec<_>>().join(", ");
        ServerError::Unknown { addr: addr.clone(), known }
    }

    /// Returns whether no application has a limit of viewers.
    #[must_use]
    pub fn has_no_limit(&self) -> bool {
        self.application_facts.iter().all(|facts| facts.max_viewers.is_none())
    }

    /// Returns `weir_max_viewers` of an application: the smallest value, if several `server` blocks have an application with this name.
    #[must_use]
    pub fn max_viewers(&self, app: &str) -> Option<u64> {
        let named = self.application_facts.iter().filter(|facts| facts.name == app);
        named.filter_map(|facts| facts.max_viewers).min()
    }

    /// Returns whether a key of a file has this id.
    #[must_use]
    pub fn is_file_key(&self, id: KeyId) -> bool {
        self.file_keys.iter().any(|key| key.id == id)
    }
}

/// Returns the digest of a key of a file, which has one secret.
fn file_digest(key: &StreamKey) -> Option<&[u8; 32]> {
    key.secrets.first().map(|secret| secret.digest.bytes())
}
