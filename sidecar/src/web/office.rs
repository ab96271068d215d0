//! State of the dashboard: accounts, sessions, and the daemon's jobs and files. This module knows nothing of HTTP.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tokio::time::Instant;
use weir_model::Secret;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::ByAdmin;

use super::past::Past;
use crate::admin::accounts::{self, Account, Accounts, FirstLink, Role, Store};
use crate::admin::limits::Limits;
use crate::admin::name::Name;
use crate::admin::password;
use crate::admin::sessions::Sessions;
use crate::admin::totp::Used;
use crate::clock;
use crate::cluster::pair::Pair;
use crate::config::Config;
use crate::events::Bus;
use crate::jobs::Jobs;
use crate::record::Recordings;

/// Maximum number of passwords hashed simultaneously: each takes 19 MiB.
const HASHED_AT_ONCE: usize = 2;
/// Maximum number of requests that wait for hashing.
const WAITING: usize = 32;
/// Number of wrong codes after the right password from which the log names the account.
const SUSPICIOUS: u32 = 5;
/// Number of messages that a dashboard may be behind; a slower one starts again.
const BEHIND: usize = 256;

/// The daemon's jobs and files, for the dashboard.
#[derive(Debug)]
pub(crate) struct Running {
    /// Path of weir.toml.
    pub file: PathBuf,
    /// Jobs of all live streams and inputs.
    pub jobs: Arc<Mutex<Jobs>>,
    /// Index of the recordings of all folders.
    pub recordings: Arc<Recordings>,
    /// Event bus, for changes by administrators.
    pub bus: Arc<Bus>,
    /// Other node of a pair.
    pub pair: Option<Arc<Pair>>,
}

/// A message for every open dashboard.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: &'static str,
    pub(super) data: String,
}

/// State of the dashboard.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) running: Running,
    store: Store,
    /// Held by the one thread that reads the file of the accounts.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Held by the one thread that reads the recordings for the list of live streams.
    pub(super) scanning: Arc<tokio::sync::Mutex<()>>,
    pub(super) sessions: Sessions,
    /// Messages to open dashboards.
    pub(super) told: broadcast::Sender<Arc<Message>>,
    /// Bitrates of the last minutes.
    pub(super) past: Mutex<Past>,
    limits: Mutex<Limits>,
    /// Codes of second factors that were used.
    used: Mutex<Used>,
    /// Token of the one-time link, while the daemon has no administrator.
    first: Mutex<Option<FirstLink>>,
    hashing: Semaphore,
    waiting: Semaphore,
    waiting_known: Semaphore,
}

/// Reason why a login is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("wrong name or password")]
    Wrong,
    #[error("enter the code that your authenticator app shows")]
    NoCode,
    #[error(
        "wrong code: enter the code that your authenticator app shows now. Each code works once, and the clock of the phone must be right"
    )]
    WrongCode,
    #[error("too many wrong passwords: try again in {} seconds", .0.as_secs().max(1))]
    Wait(Duration),
    #[error("too many attempts: try again in {} seconds", .0.as_secs().max(1))]
    WaitForLink(Duration),
    #[error("too many wrong codes for this account: try again in {} seconds", .0.as_secs().max(1))]
    WaitForCode(Duration),
    #[error("too many people log in at the moment: try again")]
    Busy,
    #[error(transparent)]
    Store(#[from] accounts::Error),
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Office {
    /// Opens the accounts. If there is no administrator, the log shows a one-time link.
    pub(super) fn open(running: Running, config: &Config) -> Self {
        let store = Store::new(&config.web.admins_file);
        let first = match store.accounts() {
            Ok(accounts) if accounts.has_admin() || config.web.listen.is_none() => None,
            Ok(accounts) => {
                accounts::new_token().ok().map(|token| FirstLink { token, added: accounts.added() })
            }
            Err(error) => {
                tracing::error!("nobody can log in to the dashboard: {error}");
                None
            }
        };
        if let Some(FirstLink { token, .. }) = &first {
            tracing::info!(
                "the dashboard has no administrator: create one with weir admin add NAME, or once with {}/admin/#setup={}",
                config.web.own_url(),
                token.expose()
            );
        }
        let sessions = match config.web.listen {
            Some(_) => Sessions::kept(config.web.admins_file.with_extension("sessions"), clock::now()),
            None => Sessions::default(),
        };
        Self {
            running,
            store,
            reading: Arc::default(),
            scanning: Arc::default(),
            told: broadcast::channel(BEHIND).0,
            past: Mutex::default(),
            limits: Mutex::new(Limits::knowing(sessions.known())),
            sessions,
            used: Mutex::default(),
            first: Mutex::new(first),
            hashing: Semaphore::new(HASHED_AT_ONCE),
            waiting: Semaphore::new(WAITING),
            waiting_known: Semaphore::new(WAITING),
        }
    }

    /// Checks a password, and the code of an account with a second factor. Returns the account, and the secret of its new session.
    pub(super) async fn log_in(
        self: &Arc<Self>,
        client: IpAddr,
        name: &str,
        password: Secret,
        code: Option<&str>,
    ) -> Result<(Account, Secret), Refused> {
        let account = self.check(client, name, password).await?;
        self.check_code(client, &account, code).await?;
        self.limits().succeeded(client, name);
        self.open_session(account)
    }

    /// Returns the accounts. Another thread reads the file, because a disk may be slow. Only one thread reads it, so that a disk that hangs
    /// does not take all threads.
    pub(super) async fn accounts(self: &Arc<Self>) -> Result<Arc<Accounts>, accounts::Error> {
        let turn = self.reading.clone().lock_owned().await;
        let office = self.clone();
        let read = move || {
            let read = office.store.accounts();
            drop(turn);
            read
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(self.store.failed(io::Error::other(error))))
    }

    /// Checks the code of a second factor. A wrong code counts like a wrong password: the attempt counts until
    /// [`Limits::succeeded`].
    async fn check_code(
        self: &Arc<Self>,
        client: IpAddr,
        account: &Account,
        code: Option<&str>,
    ) -> Result<(), Refused> {
        let Some(key) = &account.totp else { return Ok(()) };
        let code = code.ok_or(Refused::NoCode)?;
        let name = account.name.as_str();
        let begun = self.limits().begin_code(client, name, account.stamp(), Instant::now());
        let tries = begun.map_err(Refused::WaitForCode)?;
        let now = clock::now();
        let step = key.step_of(code, now).filter(|step| self.used().take(&account.name, *step, now));
        let is_new = match step {
            Some(step) => self.use_code(&account.name, step).await?,
            None => false,
        };
        if is_new {
            return Ok(());
        }
        tracing::warn!("login to the dashboard refused: wrong code, account: {name}, client: {client}");
        if tries == SUSPICIOUS {
            tracing::error!(
                "{tries} wrong codes after the right password, account: {name}; if it was not you, somebody knows the password: set \
                 another one with `weir admin add {name}`"
            );
        }
        Err(Refused::WrongCode)
    }

    /// Records a code as used, for later runs of the daemon and for the other node of a pair.
    async fn use_code(self: &Arc<Self>, name: &Name, step: u64) -> Result<bool, Refused> {
        let (office, of) = (self.clone(), name.clone());
        let used = tokio::task::spawn_blocking(move || office.store.use_code(&of, step, clock::now()));
        match used.await.map_err(|_| Refused::Busy)? {
            // A full disk must not lock administrators out. This daemon still remembers the code.
            Err(error @ accounts::Error::File { .. }) => {
                tracing::warn!(
                    "used code not saved: {error}, account: {}; after a restart, the code works again until it expires",
                    name.as_str()
                );
                Ok(true)
            }
            done => Ok(done?),
        }
    }

    fn open_session(&self, account: Account) -> Result<(Account, Secret), Refused> {
        self.sessions.set_known(self.limits().known().clone());
        let cookie = self.sessions.open(&account, clock::now()).map_err(Refused::Random)?;
        Ok((account, cookie))
    }

    /// Checks only the password. Unknown names and wrong passwords take the same time and count the same. A correct password also
    /// counts as an attempt until the caller calls [`Limits::succeeded`].
    async fn check(
        self: &Arc<Self>,
        client: IpAddr,
        name: &str,
        password: Secret,
    ) -> Result<Account, Refused> {
        // An invalid name gets no own entry.
        let counted = name.parse::<Name>().map_or("", |_| name);
        let place = self.begin(client, counted)?;
        let account = self.accounts().await?.find(name).cloned();
        let hash = account.as_ref().map(|account| account.password.clone());
        let is_right = self.hashing(place, move || password::verify(&password, hash.as_deref())).await?;
        match account.filter(|_| is_right) {
            Some(account) => Ok(account),
            None => {
                tracing::warn!("login to the dashboard refused: wrong name or password, client: {client}");
                Err(Refused::Wrong)
            }
        }
    }

    /// Checks a one-time link without using it up. A wrong link counts like a wrong password.
    pub(super) async fn check_link(self: &Arc<Self>, client: IpAddr, token: Secret) -> Result<(), Refused> {
        let _place = self.begin_link(client)?;
        let office = self.clone();
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checked = tokio::task::spawn_blocking(move || office.store.accepts(&token, first.as_ref()));
        if !checked.await.map_err(|_| Refused::Busy)?? {
            return Err(wrong_link(client).into());
        }
        self.limits().succeeded(client, "");
        Ok(())
    }

    /// Creates an administrator with a one-time link, and logs in.
    pub(super) async fn set_up(
        self: &Arc<Self>,
        client: IpAddr,
        token: Secret,
        name: Name,
        new: Secret,
    ) -> Result<(Account, Secret), Refused> {
        password::check(&new).map_err(accounts::Error::from)?;
        let place = self.begin_link(client)?;
        let (office, of_name) = (self.clone(), name.clone());
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = move || office.store.set_up(&token, first.as_ref(), &of_name, &new);
        self.hashing(place, made).await?.map_err(|error| match error {
            accounts::Error::Link => wrong_link(client),
            error => error,
        })?;
        // The link stays used up if the file of the accounts is removed.
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.limits().succeeded(client, "");
        let accounts = self.accounts().await?;
        let account = accounts.find(name.as_str()).cloned().ok_or(Refused::Wrong)?;
        self.open_session(account)
    }

    /// Changes the password of a logged-in account. All its sessions end, and a new one starts.
    pub(super) async fn change_password(
        self: &Arc<Self>,
        client: IpAddr,
        name: Name,
        current: Secret,
        new: Secret,
    ) -> Result<(Account, Secret), Refused> {
        let checked = self.check(client, name.as_str(), current).await?.stamp();
        self.limits().succeeded(client, name.as_str());
        password::check(&new).map_err(accounts::Error::from)?;
        let place = self.waiting.try_acquire().map_err(|_| Refused::Busy)?;
        let office = self.clone();
        let changed = move || office.store.change_password(&name, checked, &new);
        // The new session belongs to this change of the account: any later change ends the session.
        self.open_session(self.hashing(place, changed).await??)
    }

    /// Returns a permit to hash a password. Addresses from which the owner of the name has logged in have separate permits. An
    /// attempt that gets no permit does not count as a wrong password.
    fn begin(&self, client: IpAddr, name: &str) -> Result<SemaphorePermit<'_>, Refused> {
        let mut limits = self.limits();
        if let Some(wait) = limits.wait(client, name, Instant::now()) {
            return Err(Refused::Wait(wait));
        }
        let places = if limits.is_known(client, name) { &self.waiting_known } else { &self.waiting };
        let place = places.try_acquire().map_err(|_| Refused::Busy)?;
        limits.begin(client, name, Instant::now());
        Ok(place)
    }

    /// Like [`begin`](Self::begin), for a one-time link. The page of a link asks for no existing password.
    fn begin_link(&self, client: IpAddr) -> Result<SemaphorePermit<'_>, Refused> {
        self.begin(client, "").map_err(|why| match why {
            Refused::Wait(wait) => Refused::WaitForLink(wait),
            why => why,
        })
    }

    /// Runs a function that hashes a password on a separate thread.
    async fn hashing<T: Send + 'static>(
        &self,
        _place: SemaphorePermit<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let _hashing = self.hashing.acquire().await.map_err(|_| Refused::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Refused::Busy)
    }

    /// Logs a change by an administrator and emits its event. `action` must not contain secrets.
    pub(super) fn tell<A: Serialize>(
        &self,
        event: impl FnOnce(ByAdmin<A>) -> DaemonEvent,
        who: &Name,
        action: A,
    ) {
        let mut facts = serde_json::to_value(&action).unwrap_or_default();
        let word = facts.as_object_mut().and_then(|facts| facts.remove("action")).unwrap_or_default();
        let event = event(ByAdmin { at: clock::now(), who: who.as_str().to_owned(), action });
        let subject = event.kind().strip_prefix("admin.").unwrap_or(event.kind());
        let word = word.as_str().unwrap_or_default();
        tracing::info!("dashboard: {subject} {word}, by: {}, {facts}", who.as_str());
        self.running.bus.tell(&event);
    }

    /// Returns the recent samples of all streams.
    pub(super) fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the daemon's jobs.
    pub(super) fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.running.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs a one-time link that does not work, and returns the error.
fn wrong_link(client: IpAddr) -> accounts::Error {
    tracing::warn!("setup of the dashboard refused: wrong or used link, client: {client}");
    accounts::Error::Link
}

/// Returns whether a role includes the rights of another.
pub(super) fn may(role: Role, least: Role) -> bool {
    role >= least
}
