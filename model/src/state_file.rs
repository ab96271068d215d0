//! The file of `weir_zone ... state=FILE`: the keys and targets that survive a restart of nginx.
//!
//! The first line is `weir-state 1 <generation> <SHA-256 of the rest>`. The rest is JSON with one key or target per
//! line, so that `diff` can compare two versions.
//!
//! The file contains only digests of keys, but the URLs of targets with all their secrets, so only its owner may read
//! it.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::key::{KeyId, KeySecret, MAX_NETWORKS, StreamKey, check_note};
use crate::secret::Digest;
use crate::target::{PatchTarget, Target, TargetId};
use crate::time::Timestamp;
use crate::token::{MAX_KEPT_REVOCATIONS, Revocation};

mod mark;
mod put;
mod target_line;

pub use mark::{Mark, MarkError};
use put::{Refused, put};
pub(crate) use target_line::TargetLine;

/// The newest readable version of the format. Weir writes it for a node of a pair.
pub const VERSION: u64 = 3;

/// The version with `revocations`, but without the fields for a pair.
const REVOKING_VERSION: u64 = 2;

/// The version without `revocations`, which an older Weir can read too.
const PLAIN_VERSION: u64 = 1;

/// The first word of the file.
const MAGIC: &str = "weir-state";

/// The persistent state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Rises with each change.
    pub generation: u64,
    /// The keys that the API created, in the order of their creation.
    pub keys: Vec<StreamKey>,
    /// The push targets that the API created, in the order of their creation.
    pub targets: Vec<Target>,
    /// The revoked tokens, in the order of their first revocation.
    pub revocations: Vec<Revocation>,
    /// The mark by which a daemon recognises the file that it has replicated.
    pub mark: Option<Mark>,
    /// Whether pushes are held: this node pushes nothing.
    pub held: bool,
}

/// Why Weir cannot read a file. Weir then never overwrites the file; each message says what the admin can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The file is empty.
    #[error(
        "the state file is empty: if nginx runs, it still has the keys and targets in memory, and \"weir state save\" writes them; \
         otherwise restore a backup, or remove the file to start without keys and targets"
    )]
    Empty,
    /// The file has more bytes than a zone of this size can hold.
    #[error(
        "the file has more than {limit} bytes, more than a state file for this size of \"weir_zone\": check the path, or set a larger zone"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file does not begin like a state file.
    #[error("this is not a state file of weir: check the path, or move the file away")]
    NotAState,
    /// A later Weir wrote the file.
    #[error(
        "the state file has version {version}, this weir reads up to {VERSION}: install a newer weir, or move the file away"
    )]
    Newer {
        /// The version of the file.
        version: u64,
    },
    /// The file begins like a state file, but its content was changed or cut.
    #[error(
        "the state file is damaged ({problem}): if nginx runs, it still has the keys and targets in memory, and \"weir state save\" \
         writes them; otherwise restore a backup, or move the file away to start without keys and targets"
    )]
    Damaged {
        /// The damage.
        problem: Damage,
    },
}

/// The kind of damage of a state file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The first line has unexpected words.
    #[error("bad first line")]
    FirstLine,
    /// Bytes were changed or lost.
    #[error("checksum does not match")]
    Checksum,
    /// The content is not JSON in the form that Weir writes.
    #[error("bad content in line {line}")]
    Content {
        /// The line of the file, counted from 1.
        line: usize,
    },
    /// The first line has another generation than the rest.
    #[error("generation does not match")]
    Generation,
    /// A key breaks a rule for keys.
    #[error("key {0} breaks a rule")]
    BadKey(KeyId),
    /// Two keys have the same id or the same secret.
    #[error("key {0} is there twice")]
    Twice(KeyId),
    /// A target breaks a rule for targets.
    #[error("target {0} breaks a rule")]
    BadTarget(TargetId),
    /// Two targets have the same id.
    #[error("target {0} is there twice")]
    TargetTwice(TargetId),
    /// The file has more than [`MAX_KEPT_REVOCATIONS`] revocations, or a revocation twice.
    #[error("bad list of revoked tokens")]
    BadRevocations,
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new key.
    AddKey(StreamKey),
    /// A revocation of a key.
    RevokeKey(KeyId),
    /// A new secret for a key.
    RotateKey {
        /// The key.
        id: KeyId,
        /// The new secret.
        secret: KeySecret,
        /// The time at which the old secret expires at the latest.
        previous_expires_at: Timestamp,
    },
    /// A new target.
    AddTarget(Target),
    /// A change of a target.
    ChangeTarget {
        /// The target.
        id: TargetId,
        /// The changes.
        patch: PatchTarget,
    },
    /// A removal of a target.
    RemoveTarget(TargetId),
    /// A revocation of tokens.
    RevokeTokens(Revocation),
    /// The current form of a key on the other node of a pair.
    PutKey {
        /// The old key on this node; `None` if there was none.
        was: Option<Box<StreamKey>>,
        /// The new key.
        key: Box<StreamKey>,
    },
    /// The current form of a target on the other node of a pair.
    PutTarget {
        /// The old target on this node; `None` if there was none.
        was: Option<Box<Target>>,
        /// The new target.
        target: Box<Target>,
    },
    /// The mark of the daemon that owns the file.
    Mark(Mark),
    /// Holds all pushes of this node, or releases them.
    Hold(bool),
}

/// Why a change is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another key has this id.
    #[error("there is another key {0}")]
    IdTaken(KeyId),
    /// This key has the same secret.
    #[error("key {0} has the same secret")]
    SecretTaken(KeyId),
    /// No key has this id.
    #[error("no key {0}")]
    UnknownKey(KeyId),
    /// Another target has this id.
    #[error("there is another target {0}")]
    TargetIdTaken(TargetId),
    /// No target has this id.
    #[error("no target {0}")]
    UnknownTarget(TargetId),
    /// The maximum number of revocations is reached.
    #[error("{MAX_KEPT_REVOCATIONS} revocations are in it already")]
    ManyRevocations,
    /// The key differs from the old key of the change.
    #[error("key {0} was changed meanwhile")]
    OtherKey(KeyId),
    /// The target differs from the old target of the change.
    #[error("target {0} was changed meanwhile")]
    OtherTarget(TargetId),
}

/// Returns the checksum of the content after the first line, which identifies a state file. The generation does not
/// identify it, because two servers with the same number of changes have the same generation.
pub fn content(file: &[u8]) -> Digest {
    let end = file.iter().position(|&byte| byte == b'\n').map_or(file.len(), |end| end + 1);
    Digest::of(&file[end..])
}

/// The content after the first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Repeats the generation, so that the checksum covers it.
    generation: u64,
    keys: Vec<StreamKey>,
    targets: Vec<TargetLine>,
    #[serde(default)]
    revocations: Vec<Revocation>,
    #[serde(default)]
    mark: Option<Mark>,
    #[serde(default)]
    held: bool,
}

impl State {
    /// Reads a file.
    pub fn decode(file: &[u8]) -> Result<State, StateError> {
        let damaged = |problem| Err(StateError::Damaged { problem });
        if file.is_empty() {
            return Err(StateError::Empty);
        }
        let head = file.strip_prefix(MAGIC.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        let head = head.ok_or(StateError::NotAState)?;
        let end = head.iter().position(|&byte| byte == b'\n').unwrap_or(head.len());
        let (line, rest) = head.split_at(end);
        let body = rest.strip_prefix(b"\n").unwrap_or_default();
        let words: Vec<&str> = std::str::from_utf8(line).unwrap_or_default().split(' ').collect();
        match words.first().and_then(|version| number(version)) {
            Some(PLAIN_VERSION..=VERSION) => {}
            Some(version) if version > VERSION => return Err(StateError::Newer { version }),
            _ => return damaged(Damage::FirstLine),
        }
        let [_, generation, checksum] = words[..] else { return damaged(Damage::FirstLine) };
        let (Some(generation), Ok(checksum)) = (number(generation), Digest::parse(checksum.as_bytes()))
        else {
            return damaged(Damage::FirstLine);
        };
        if Digest::of(body) != checksum {
            return damaged(Damage::Checksum);
        }
        let body: Body = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(error) => return damaged(Damage::Content { line: error.line() + 1 }),
        };
        if body.generation != generation {
            return damaged(Damage::Generation);
        }
        let targets: Vec<Target> = body.targets.into_iter().map(Target::from).collect();
        let checked = check_keys(&body.keys)
            .and_then(|()| check_targets(&targets))
            .and_then(|()| check_revocations(&body.revocations));
        checked.map_err(|problem| StateError::Damaged { problem })?;
        let Body { keys, revocations, mark, held, .. } = body;
        Ok(State { generation, keys, targets, revocations, mark, held })
    }

    /// Returns the content of the file.
    pub fn encode(&self) -> String {
        let (version, body) = self.body();
        format!("{MAGIC} {version} {} {}\n{body}", self.generation, Digest::of(body.as_bytes()).to_hex())
    }

    /// Returns the oldest version that can express the state, and the content after the first line: a JSON object.
    pub fn body(&self) -> (u64, String) {
        let keys: Vec<Value> = self.keys.iter().map(|key| serde_json::json!(key)).collect();
        let targets: Vec<Value> =
            self.targets.iter().map(|target| serde_json::json!(TargetLine::from(target))).collect();
        let revocations: Vec<Value> =
            self.revocations.iter().map(|revocation| serde_json::json!(revocation)).collect();
        let (mut version, mut more) = (PLAIN_VERSION, String::new());
        if !revocations.is_empty() {
            version = REVOKING_VERSION;
            more = format!(",\n\"revocations\": {}", one_a_line(&revocations));
        }
        if self.mark.is_some() || self.held {
            version = VERSION;
            more += &format!(",\n\"mark\": {},\n\"held\": {}", serde_json::json!(self.mark), self.held);
        }
        let body = format!(
            "{{\n\"generation\": {},\n\"keys\": {},\n\"targets\": {}{more}\n}}\n",
            self.generation,
            one_a_line(&keys),
            one_a_line(&targets)
        );
        (version, body)
    }

    /// Returns the key with this id.
    pub fn key(&self, id: KeyId) -> Option<&StreamKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Returns the target with this id.
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.iter().find(|target| target.id == id)
    }

    /// Makes a change, or leaves the state unchanged. A change that was made already changes nothing, not even the
    /// generation; the same applies to the revocation of a missing key and the removal of a missing target.
    pub fn apply(&mut self, change: &Change) -> Result<(), ChangeError> {
        let changed = match change {
            Change::AddKey(key) => self.add(key)?,
            Change::RevokeKey(id) => self.revoke(*id),
            Change::RotateKey { id, secret, previous_expires_at } => {
                self.rotate(*id, secret, *previous_expires_at)?
            }
            Change::AddTarget(target) => self.add_target(target)?,
            Change::ChangeTarget { id, patch } => self.change_target(*id, patch)?,
            Change::RemoveTarget(id) => self.remove_target(*id),
            Change::RevokeTokens(revocation) => self.revoke_tokens(revocation)?,
            Change::PutKey { was, key } => self.put_key(was.as_deref(), key)?,
            Change::PutTarget { was, target } => self.put_target(was.as_deref(), target)?,
            Change::Mark(mark) => self.mark.replace(*mark) != Some(*mark),
            Change::Hold(held) => std::mem::replace(&mut self.held, *held) != *held,
        };
        self.generation = self.generation.saturating_add(u64::from(changed));
        Ok(())
    }

    fn add(&mut self, key: &StreamKey) -> Result<bool, ChangeError> {
        match self.key(key.id) {
            Some(there) if there == key => return Ok(false),
            Some(_) => return Err(ChangeError::IdTaken(key.id)),
            None => {}
        }
        for secret in &key.secrets {
            self.check_secret_is_new(&secret.digest)?;
        }
        self.keys.push(key.clone());
        Ok(true)
    }

    fn revoke(&mut self, id: KeyId) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.id != id);
        self.keys.len() < before
    }

    fn rotate(&mut self, id: KeyId, secret: &KeySecret, end: Timestamp) -> Result<bool, ChangeError> {
        let at = self.keys.iter().position(|key| key.id == id).ok_or(ChangeError::UnknownKey(id))?;
        if self.keys[at].secrets.first() == Some(secret) {
            return Ok(false);
        }
        self.check_secret_is_new(&secret.digest)?;
        self.keys[at].rotate(secret.clone(), end);
        Ok(true)
    }

    fn add_target(&mut self, target: &Target) -> Result<bool, ChangeError> {
        match self.target(target.id) {
            Some(there) if there == target => return Ok(false),
            Some(_) => return Err(ChangeError::TargetIdTaken(target.id)),
            None => {}
        }
        self.targets.push(target.clone());
        Ok(true)
    }

    fn change_target(&mut self, id: TargetId, patch: &PatchTarget) -> Result<bool, ChangeError> {
        let target = self.targets.iter_mut().find(|target| target.id == id);
        target.map(|target| patch.apply(target)).ok_or(ChangeError::UnknownTarget(id))
    }

    fn remove_target(&mut self, id: TargetId) -> bool {
        let before = self.targets.len();
        self.targets.retain(|target| target.id != id);
        self.targets.len() < before
    }

    /// Also removes revocations that have ended.
    fn revoke_tokens(&mut self, revocation: &Revocation) -> Result<bool, ChangeError> {
        if let Some(known) = self.revocations.iter_mut().find(|known| known.what == revocation.what) {
            return Ok(known.merge(revocation));
        }
        let now = revocation.revoked_at;
        if self.revocations.iter().filter(|known| !known.is_over(now)).count() >= MAX_KEPT_REVOCATIONS {
            return Err(ChangeError::ManyRevocations);
        }
        self.revocations.retain(|known| !known.is_over(now));
        self.revocations.push(revocation.clone());
        Ok(true)
    }

    fn put_key(&mut self, was: Option<&StreamKey>, key: &StreamKey) -> Result<bool, ChangeError> {
        let others = self.keys.iter().filter(|known| known.id != key.id);
        let digests = |of: &StreamKey| of.secrets.iter().map(|it| it.digest).collect::<Vec<_>>();
        let taken = digests(key);
        if let Some(other) =
            others.into_iter().find(|known| digests(known).iter().any(|digest| taken.contains(digest)))
        {
            return Err(ChangeError::SecretTaken(other.id));
        }
        put(&mut self.keys, |known| known.id == key.id, was, key).map_err(|refused| match refused {
            Refused::Gone => ChangeError::UnknownKey(key.id),
            Refused::Other => ChangeError::OtherKey(key.id),
        })
    }

    fn put_target(&mut self, was: Option<&Target>, target: &Target) -> Result<bool, ChangeError> {
        put(&mut self.targets, |known| known.id == target.id, was, target).map_err(|refused| match refused {
            Refused::Gone => ChangeError::UnknownTarget(target.id),
            Refused::Other => ChangeError::OtherTarget(target.id),
        })
    }

    fn check_secret_is_new(&self, digest: &Digest) -> Result<(), ChangeError> {
        let has_it = |key: &&StreamKey| key.secrets.iter().any(|secret| secret.digest == *digest);
        match self.keys.iter().find(has_it) {
            Some(key) => Err(ChangeError::SecretTaken(key.id)),
            None => Ok(()),
        }
    }
}

impl Change {
    /// Returns a rotation that keeps the key's own expiry; the old secret stays valid for `overlap_s`.
    pub fn rotate(key: &StreamKey, digest: Digest, overlap_s: u64, now: Timestamp) -> Change {
        Change::RotateKey {
            id: key.id,
            secret: KeySecret { digest, expires_at: key.expires_at() },
            previous_expires_at: now.plus_seconds(overlap_s),
        }
    }
}

fn one_a_line(items: &[Value]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> = items.iter().map(Value::to_string).collect();
    format!("[\n{}\n]", lines.join(",\n"))
}

/// Parses a number that has only digits.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Checks the rules for each key and between keys.
fn check_keys(keys: &[StreamKey]) -> Result<(), Damage> {
    let (mut ids, mut digests) = (HashSet::new(), HashSet::new());
    for key in keys {
        let well_formed = (1..=2).contains(&key.secrets.len())
            && key.publish_from.len() <= MAX_NETWORKS
            && check_note(&key.note).is_ok();
        if !well_formed {
            return Err(Damage::BadKey(key.id));
        }
        if !ids.insert(key.id) || !key.secrets.iter().all(|secret| digests.insert(*secret.digest.bytes())) {
            return Err(Damage::Twice(key.id));
        }
    }
    Ok(())
}

/// Returns whether a key follows the rules for each key.
pub(crate) fn is_key(key: &StreamKey) -> bool {
    check_keys(std::slice::from_ref(key)).is_ok()
}

fn check_targets(targets: &[Target]) -> Result<(), Damage> {
    let mut ids = HashSet::new();
    for target in targets {
        if check_note(&target.note).is_err() {
            return Err(Damage::BadTarget(target.id));
        }
        if !ids.insert(target.id) {
            return Err(Damage::TargetTwice(target.id));
        }
    }
    Ok(())
}

fn check_revocations(revocations: &[Revocation]) -> Result<(), Damage> {
    let mut known = HashSet::new();
    let are_good = revocations.len() <= MAX_KEPT_REVOCATIONS
        && revocations.iter().all(|revocation| known.insert(&revocation.what));
    if are_good { Ok(()) } else { Err(Damage::BadRevocations) }
}

#[cfg(test)]
mod tests;
