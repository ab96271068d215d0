//! The file with the accounts, mode 0600. The command line and the daemon change it under one lock, and each change writes a whole new
//! file.
//!
//! A reader detects a change by the file's metadata.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use weir_model::{Digest, Secret, Timestamp};

use super::name::Name;
use super::password;
use super::totp;
use crate::clock;
use crate::files::{self, PRIVATE, SHARED, durable};

/// Most one-time links that are valid simultaneously.
const MOST_LINKS: usize = 8;
/// Largest file, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Length of a one-time link's secret in bytes: 160 bits.
const TOKEN: usize = 20;

/// Role of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// May read everything.
    Viewer,
    /// May also disconnect streams, and moderate the chat.
    Moderator,
    /// May change everything.
    Admin,
}

impl Role {
    /// Returns the word for files and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Name of the account.
    pub name: Name,
    /// Role of the account.
    pub role: Role,
    /// argon2id hash, in PHC form.
    pub password: String,
    /// Time of the last change of the password.
    pub changed_at: Timestamp,
    /// The second factor, if the account has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<totp::Key>,
}

impl Account {
    /// Returns a stamp that differs after each change of password or second factor. A session with another stamp has ended.
    pub(crate) fn stamp(&self) -> Digest {
        match &self.totp {
            None => Digest::of(self.password.as_bytes()),
            Some(key) => Digest::of(format!("{} {}", self.password, key.base32()).as_bytes()),
        }
    }
}

/// A one-time link, which creates one administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    digest: String,
    expires_at: Timestamp,
}

/// Content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounts {
    /// The accounts, ordered by name.
    pub accounts: Vec<Account>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    /// 30-second steps of the last codes of second factors, by account.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    codes: BTreeMap<Name, u64>,
    /// Mark by which a node of a pair recognizes the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    /// Number of times that an account became an administrator, here or on the other node of a pair. The daemon's own link is valid
    /// until it changes.
    #[serde(default, skip_serializing_if = "is_zero")]
    added: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The daemon's own one-time link.
#[derive(Clone, Debug)]
pub(crate) struct FirstLink {
    /// Secret of the link.
    pub token: Secret,
    /// [`Accounts::added`] when the link was made.
    pub added: u64,
}

impl Accounts {
    /// Mark by which a node of a pair recognizes the file.
    pub(crate) fn mark(&self) -> &str {
        self.mark.as_deref().unwrap_or("file")
    }

    /// Returns the account with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name.as_str() == name)
    }

    /// Returns the 30-second steps of the last codes of second factors, by account.
    pub(crate) fn codes(&self) -> &BTreeMap<Name, u64> {
        &self.codes
    }

    /// Returns whether an account has the role `Admin`.
    pub(crate) fn has_admin(&self) -> bool {
        self.accounts.iter().any(|account| account.role == Role::Admin)
    }

    /// Returns the number of times that an account became an administrator.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }

    /// Returns whether a one-time link is valid.
    pub(crate) fn opens(&self, token: &Secret, now: Timestamp) -> bool {
        let digest = token.digest().to_hex();
        self.links.iter().any(|link| link.digest == digest && link.expires_at > now)
    }

    fn accept(&self, token: &Secret, first: Option<&FirstLink>) -> bool {
        let is_first = first.is_some_and(|first| {
            first.token.digest() == token.digest() && first.added == self.added && !self.has_admin()
        });
        is_first || self.opens(token, clock::now())
    }

    /// Adds an account, or changes its password. All one-time links become invalid.
    fn put(&mut self, name: &Name, role: Option<Role>, hash: String, now: Timestamp) {
        self.links.clear();
        match self.accounts.iter_mut().find(|account| account.name == *name) {
            Some(account) => {
                let was_admin = account.role == Role::Admin;
                account.role = role.unwrap_or(account.role);
                self.added += u64::from(account.role == Role::Admin && !was_admin);
                (account.password, account.changed_at) = (hash, now);
            }
            None => {
                let role = role.unwrap_or(Role::Admin);
                self.added += u64::from(role == Role::Admin);
                let name = name.clone();
                self.accounts.push(Account { name, role, password: hash, changed_at: now, totp: None });
                self.accounts.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
    }

    fn change_password(
        &mut self,
        name: &Name,
        checked: Digest,
        hash: String,
        now: Timestamp,
    ) -> Result<Account, Error> {
        let account = self.accounts.iter_mut().find(|account| account.name == *name);
        let account = account.filter(|account| account.stamp() == checked).ok_or(Error::Changed)?;
        (account.password, account.changed_at) = (hash, now);
        Ok(account.clone())
    }

    /// Records the code of a step as used. Returns false if it was used before.
    fn use_code(&mut self, name: &Name, step: u64, now: Timestamp) -> Result<bool, Error> {
        if self.find(name.as_str()).is_none() {
            return Err(Error::Changed);
        }
        let is_new = !totp::is_used(self.codes.get(name).copied(), step, now);
        if is_new {
            self.codes.insert(name.clone(), step);
        }
        Ok(is_new)
    }

    fn remove(&mut self, name: &Name) {
        self.accounts.retain(|account| account.name != *name);
        self.codes.remove(name);
    }

    fn add_link(&mut self, digest: String, now: Timestamp, expires_at: Timestamp) {
        self.links.retain(|link| link.expires_at > now);
        if self.links.len() == MOST_LINKS {
            self.links.remove(0);
        }
        self.links.push(Link { digest, expires_at });
    }
}

/// Reason why the file cannot be used or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The path as configured.
        path: PathBuf,
        /// The system's error.
        why: io::Error,
    },
    /// The content is not a file of accounts.
    #[error("{}: not a file of accounts: {why}; restore it from a backup, or remove it and run weir admin add NAME", path.display())]
    Damaged {
        /// The path as configured.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// The password is not accepted.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// There is no such account.
    #[error("there is no account {0:?}: weir admin list shows them")]
    Unknown(String),
    /// Another change was faster.
    #[error("the account was changed meanwhile: log in again")]
    Changed,
    /// The link was used, has expired or is unknown.
    #[error("this link was used before, or has expired: weir admin setup-link prints another one")]
    Link,
    /// A one-time link cannot change the password of an existing account.
    #[error("the account {0:?} exists already: take another name, or set its password with weir admin add")]
    Exists(String),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The file, and its last read content.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    seen: Mutex<Option<(Seen, Arc<Accounts>)>>,
}

/// Metadata that distinguishes two files with the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Store {
    /// Returns a store that has read nothing yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.into(), seen: Mutex::default() }
    }

    /// Returns the current accounts, or an empty list without a file.
    pub(crate) fn accounts(&self) -> Result<Arc<Accounts>, Error> {
        let mut known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = match fs::metadata(&self.path) {
            Ok(file) => {
                let changed = (file.ctime(), file.ctime_nsec());
                Seen { inode: file.ino(), size: file.size(), changed }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Arc::default()),
            Err(why) => return Err(self.failed(why)),
        };
        if let Some((_, accounts)) = known.as_ref().filter(|(was, _)| *was == seen) {
            return Ok(accounts.clone());
        }
        let accounts = Arc::new(self.read()?);
        *known = Some((seen, accounts.clone()));
        Ok(accounts)
    }

    /// Adds an account, or changes its password, and its role if one is given. All one-time links become invalid.
    pub(crate) fn put(&self, name: &Name, role: Option<Role>, password: &Secret) -> Result<(), Error> {
        let hash = password::hash(password)?;
        self.change(|accounts| {
            accounts.put(name, role, hash, clock::now());
            Ok(())
        })
    }

    /// Changes the password of an account. `checked` is the stamp of the account whose password was compared. The stamp prevents a change
    /// ([`Error::Changed`]) of an account that was removed meanwhile, or whose password an administrator has changed meanwhile. Returns
    /// the new state of the account.
    pub(crate) fn change_password(
        &self,
        name: &Name,
        checked: Digest,
        password: &Secret,
    ) -> Result<Account, Error> {
        let hash = password::hash(password)?;
        self.change(|accounts| accounts.change_password(name, checked, hash, clock::now()))
    }

    /// Sets or removes the second factor of an account. Its sessions end.
    pub(crate) fn set_totp(&self, name: &Name, key: Option<totp::Key>) -> Result<(), Error> {
        self.change(|accounts| {
            let account = accounts.accounts.iter_mut().find(|account| account.name == *name);
            account.ok_or_else(|| Error::Unknown(name.as_str().to_owned()))?.totp = key;
            Ok(())
        })
    }

    /// Removes an account.
    pub(crate) fn remove(&self, name: &Name) -> Result<(), Error> {
        self.change(|accounts| {
            if accounts.find(name.as_str()).is_none() {
                return Err(Error::Unknown(name.as_str().to_owned()));
            }
            accounts.remove(name);
            Ok(())
        })
    }

    /// Returns whether the file exists.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Sets an account to its state on another node. Returns false, without a change, if the account is no longer as expected (`was`).
    pub(crate) fn replicate(
        &self,
        name: &Name,
        was: Option<&Account>,
        is: Option<Account>,
    ) -> Result<bool, Error> {
        let mut done = false;
        self.change(|accounts| {
            done = accounts.find(name.as_str()) == was;
            if done {
                if was.is_none() {
                    accounts.links.clear();
                }
                match is {
                    None => accounts.remove(name),
                    Some(is) => {
                        let was_admin = was.is_some_and(|was| was.role == Role::Admin);
                        accounts.added += u64::from(is.role == Role::Admin && !was_admin);
                        accounts.accounts.retain(|account| account.name != *name);
                        accounts.accounts.push(is);
                    }
                }
                accounts.accounts.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Ok(())
        })?;
        Ok(done)
    }

    /// Records the code of a step as used, in the file, so that it stays used after a restart. Returns false if it was used before.
    pub(crate) fn use_code(&self, name: &Name, step: u64, now: Timestamp) -> Result<bool, Error> {
        self.change(|accounts| accounts.use_code(name, step, now))
    }

    /// Records the last used code of another node. Returns false, without a change, if the last one here is no longer as expected (`was`).
    pub(crate) fn replicate_code(&self, name: &Name, was: Option<u64>, is: u64) -> Result<bool, Error> {
        self.change(|accounts| {
            let is_same = accounts.codes.get(name).copied() == was;
            if is_same {
                accounts.codes.insert(name.clone(), is);
            }
            Ok(is_same)
        })
    }

    /// Gives the file another mark. Returns false, without a change, if the content is no longer as it was read (`was`).
    pub(crate) fn mark(&self, was: &Accounts, mark: &str) -> Result<bool, Error> {
        self.change(|accounts| {
            let is_same = *accounts == *was;
            if is_same {
                accounts.mark = Some(mark.to_owned());
            }
            Ok(is_same)
        })
    }

    /// Creates a one-time link that is valid until `expires_at`. Returns its secret.
    pub(crate) fn make_link(&self, expires_at: Timestamp) -> Result<Secret, Error> {
        let token = new_token()?;
        self.change(|accounts| {
            accounts.add_link(token.digest().to_hex(), clock::now(), expires_at);
            Ok(())
        })?;
        Ok(token)
    }

    /// Creates an administrator with a one-time link, which becomes invalid. `first` is the daemon's own link, which is valid until there
    /// is an administrator, and not again after its removal.
    pub(crate) fn set_up(
        &self,
        token: &Secret,
        first: Option<&FirstLink>,
        name: &Name,
        password: &Secret,
    ) -> Result<(), Error> {
        let hash = password::hash(password)?;
        self.change(|accounts| {
            if !accounts.accept(token, first) {
                return Err(Error::Link);
            }
            if accounts.find(name.as_str()).is_some() {
                return Err(Error::Exists(name.as_str().to_owned()));
            }
            accounts.put(name, Some(Role::Admin), hash, clock::now());
            Ok(())
        })
    }

    /// Returns whether [`Store::set_up`] would accept a one-time link.
    pub(crate) fn accepts(&self, token: &Secret, first: Option<&FirstLink>) -> Result<bool, Error> {
        Ok(self.accounts()?.accept(token, first))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Accounts) -> Result<T, Error>) -> Result<T, Error> {
        let failed = |why| self.failed(why);
        let folder = self.path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        SHARED.make_folder(folder).map_err(failed)?;
        let of_folder = fs::metadata(folder).map_err(failed)?;
        // Root writes on behalf of the daemon's user.
        let owner = nix::unistd::geteuid().is_root().then(|| (of_folder.uid(), of_folder.gid()));
        let lock = PRIVATE.open_or_create(&self.path.with_extension("lock")).map_err(failed)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::fchown(&lock, Some(user), Some(group)).map_err(failed)?;
        }
        lock.lock().map_err(failed)?;
        let mut accounts = match self.read() {
            Err(Error::File { why, .. }) if why.kind() == ErrorKind::NotFound => Accounts::default(),
            read => read?,
        };
        let before = accounts.clone();
        let done = change(&mut accounts)?;
        if accounts == before {
            return Ok(done);
        }
        let bytes = serde_json::to_vec_pretty(&accounts)
            .map_err(|error| Error::Damaged { path: self.path.clone(), why: error.to_string() })?;
        let unfinished = self.path.with_extension("new");
        let written = durable::replace_for(owner, &self.path, &unfinished, PRIVATE.file, &bytes);
        files::warn_if_uncertain(written.map_err(failed)?, "accounts", &self.path);
        Ok(done)
    }

    fn read(&self) -> Result<Accounts, Error> {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
        read.map_err(|why| self.failed(why))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Damaged { path: self.path.clone(), why: error.to_string() })
    }

    /// Returns an error of the file.
    pub(crate) fn failed(&self, why: io::Error) -> Error {
        Error::File { path: self.path.clone(), why }
    }
}

/// Returns a random secret for a one-time link.
pub(crate) fn new_token() -> Result<Secret, Error> {
    let mut bytes = [0; TOKEN];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(Secret::new(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
