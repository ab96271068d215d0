//! The file of `weir_zone ... state=FILE`: the keys and targets that outlive nginx.
//!
//! The first line is `weir-state 1 <generation> <SHA-256 of all that follows>`; then comes JSON with one
//! key a line, so that two versions can be compared with `diff`.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::key::{KeyId, KeySecret, MAX_NETWORKS, StreamKey, check_note};
use crate::secret::Digest;
use crate::time::Timestamp;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// The first word of the file.
const MAGIC: &str = "weir-state";

/// All that persists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Goes up with each change.
    pub generation: u64,
    /// The keys made over the API, in the order in which they were made.
    pub keys: Vec<StreamKey>,
    /// The push targets, word for word.
    pub targets: Vec<Value>,
}

/// Why a file is not read. It is never overwritten then; each message says what the admin can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// No byte at all.
    #[error(
        "the state file is empty: restore a backup, or remove the file to start without keys and targets"
    )]
    Empty,
    /// It does not begin as one.
    #[error("this is not a state file of weir: check the path, or move the file away")]
    NotAState,
    /// Written by a later weir.
    #[error(
        "the state file has version {version}, this weir reads up to {VERSION}: install a newer weir, or move the file away"
    )]
    Newer {
        /// The version it was written in.
        version: u64,
    },
    /// It begins as one, but is not as it was written.
    #[error(
        "the state file is damaged ({problem}): restore a backup, or move the file away to start without keys and targets"
    )]
    Damaged {
        /// What is wrong with it.
        problem: Damage,
    },
}

/// In what way a state file is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The words of the first line.
    #[error("bad first line")]
    FirstLine,
    /// Bytes were changed or lost.
    #[error("checksum does not match")]
    Checksum,
    /// Not the JSON that is written here.
    #[error("bad content in line {line}")]
    Content {
        /// The line of the file, from 1.
        line: usize,
    },
    /// The first line tells another generation than the rest.
    #[error("generation does not match")]
    Generation,
    /// A key breaks a rule that every key keeps.
    #[error("key {0} breaks a rule")]
    BadKey(KeyId),
    /// Two keys have the same id or the same secret.
    #[error("key {0} is there twice")]
    Twice(KeyId),
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new key.
    AddKey(StreamKey),
    /// The key is no more.
    RevokeKey(KeyId),
    /// A new secret for a key.
    RotateKey {
        /// Which key.
        id: KeyId,
        /// Its new secret.
        secret: KeySecret,
        /// Until when the old one is valid, at most.
        previous_expires_at: Timestamp,
    },
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
}

/// What follows the first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Once more, so that the checksum covers it.
    generation: u64,
    keys: Vec<StreamKey>,
    targets: Vec<Value>,
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
            Some(VERSION) => {}
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
        check_keys(&body.keys).map_err(|problem| StateError::Damaged { problem })?;
        Ok(State { generation, keys: body.keys, targets: body.targets })
    }

    /// The content of the file.
    pub fn encode(&self) -> String {
        let keys: Vec<Value> = self.keys.iter().map(|key| serde_json::json!(key)).collect();
        let body = format!(
            "{{\n\"generation\": {},\n\"keys\": {},\n\"targets\": {}\n}}\n",
            self.generation,
            one_a_line(&keys),
            one_a_line(&self.targets)
        );
        format!("{MAGIC} {VERSION} {} {}\n{body}", self.generation, Digest::of(body.as_bytes()).to_hex())
    }

    /// The key with this id.
    pub fn key(&self, id: KeyId) -> Option<&StreamKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Makes a change, or leaves everything as it was. A change that was made already changes nothing,
    /// the generation included; so does revoking a key that is not there.
    pub fn apply(&mut self, change: &Change) -> Result<(), ChangeError> {
        let changed = match change {
            Change::AddKey(key) => self.add(key)?,
            Change::RevokeKey(id) => self.revoke(*id),
            Change::RotateKey { id, secret, previous_expires_at } => {
                self.rotate(*id, secret, *previous_expires_at)?
            }
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

    fn check_secret_is_new(&self, digest: &Digest) -> Result<(), ChangeError> {
        let has_it = |key: &&StreamKey| key.secrets.iter().any(|secret| secret.digest == *digest);
        match self.keys.iter().find(has_it) {
            Some(key) => Err(ChangeError::SecretTaken(key.id)),
            None => Ok(()),
        }
    }
}

impl Change {
    /// A rotation that leaves the key's own expiry as it is; the old secret stays valid for `overlap_s`.
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

/// A number as it is written here: digits alone.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The rules that hold for each key and between them.
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

#[cfg(test)]
mod tests;
