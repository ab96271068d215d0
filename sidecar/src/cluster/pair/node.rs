//! This node of a pair: what it knows of the other one, and the letters between them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::seal::Seal;
use super::table::{Peer, Table};
use super::twins::Stage;
use super::wire::{Answer, Letter};
use crate::cluster::signature::{self, Key, KeyError, Purpose, Refused, Signed};
use crate::config::cluster::Pair as Settings;
use crate::{clock, database, nginx};

/// Refused requests are logged no more often.
const QUIET: Duration = Duration::from_secs(60);
/// A peer that was not heard of for so long is away.
const AWAY: Duration = Duration::from_secs(5);

/// Why this node is no node of a pair.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Edges could write letters.
    #[error(
        "pair_secret_file of [cluster] holds the same secret as secret_file, which edges have, too: weir secret new makes another one"
    )]
    SameSecret,
    /// What both know.
    #[error("pair_file of [cluster]: {0}")]
    File(#[from] database::Error),
    /// The module.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// No random bytes, no thread, no client.
    #[error("pair: {0}")]
    System(String),
}

/// Why a letter is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untaken {
    /// Both nodes have one file.
    #[error(
        "both nodes of the pair have the same id, because one machine is a copy of the other: on one of them stop weir serve, remove \
         {file} and start weir serve again; it gets everything back from the other node"
    )]
    SameId {
        /// `pair_file`
        file: String,
    },
    /// A clock, or a lie.
    #[error(
        "an edit is more than a year ahead of this node's clock: set the clocks of both nodes by NTP; if that does not help, stop \
         weir serve on the node that was edited with a wrong clock, remove {file} and start weir serve again"
    )]
    Ahead {
        /// `pair_file`
        file: String,
    },
    /// This node's own file.
    #[error(transparent)]
    File(#[from] database::Error),
}

/// This node of a pair.
#[derive(Debug)]
pub struct Pair {
    pub(super) peer: String,
    pub(super) key: Key,
    pub(super) seal: Seal,
    /// Of this daemon: the other node starts again with another one.
    run: String,
    /// Letters from before this daemon are refused: nobody knows whether they were here already.
    started: u64,
    table: Mutex<Table>,
    /// This node is to be brought in line.
    pub(super) changed: Notify,
    /// The other node is to be told.
    pub(super) tell: Notify,
    /// The times of the last letters, by their nodes.
    last: Mutex<HashMap<String, u64>>,
    status: Mutex<Status>,
    quiet: Mutex<Option<Instant>>,
}

/// How the pair is.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// When the other node was last heard of.
    pub(super) heard: Option<Instant>,
    /// Its id.
    pub(super) node: Option<String>,
    /// Things in common, and those that it was not told yet. Who asks does not wait for the file.
    things: usize,
    to_send: usize,
    /// What it has not applied.
    pub(super) their_pending: usize,
    /// What is not applied here.
    pub(super) pending: usize,
    pub(super) mine: Option<Stage>,
    pub(super) theirs: Option<Stage>,
    /// Why it does not answer.
    pub(super) error: Option<String>,
    /// Why this node's module is not looked at.
    pub(super) trouble: Option<String>,
}

/// How the pair is, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The other node's pages.
    pub peer: String,
    /// `in step`, `behind` or `away`.
    pub state: String,
    /// Since when nothing was heard of it, in seconds; none when it was never heard of.
    pub silent_s: Option<u64>,
    /// Things in common: keys, targets, bans, revocations, administrators.
    pub things: usize,
    /// Changes that it was not told yet.
    pub to_send: usize,
    /// Changes that are not in force here yet.
    pub to_apply: usize,
    /// Changes that are not in force there yet.
    pub to_apply_there: usize,
    /// Nothing is pushed from here: keepalived has made this node the standby.
    pub held: Option<bool>,
    /// The same of the other node.
    pub held_there: Option<bool>,
    /// What is wrong.
    pub error: Option<String>,
}

impl View {
    /// What an administrator should know; none where all is well.
    pub fn problem(&self) -> Option<String> {
        let why = self.error.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        match (self.state.as_str(), &self.error) {
            ("away", _) => {
                let since = self.silent_s.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
                Some(format!("no letters from the other node of the pair, {}{since}{why}", self.peer))
            }
            (_, Some(_)) => Some(format!("this node of the pair is not in step{why}")),
            _ => None,
        }
    }
}

impl Pair {
    /// As configured: what both know is read.
    pub fn open(settings: &Settings, key: Key) -> Result<Self, Error> {
        let system = |what: &str| Error::System(what.to_owned());
        let seal = Seal::new(&key).ok_or_else(|| system("no seal"))?;
        let random = || signature::nonce().ok_or_else(|| system("no random bytes"));
        let (run, fresh) = (random()?, random()?);
        let pair = Self {
            peer: settings.peer.as_str().to_owned(),
            key,
            seal,
            run,
            started: clock::now().as_millis(),
            table: Mutex::new(Table::open(&settings.file, &fresh)?),
            changed: Notify::new(),
            tell: Notify::new(),
            last: Mutex::default(),
            status: Mutex::default(),
            quiet: Mutex::default(),
        };
        pair.count(&pair.table());
        Ok(pair)
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of the table is different: before it is written, which may last.
    pub(super) fn count(&self, table: &Table) {
        let mut status = self.status();
        let told = status.node.as_deref().map_or(0, |node| table.peer(node).ours);
        (status.things, status.to_send) = (table.count(), table.count_since(told));
    }

    /// How the pair is. Waits for no file.
    pub fn view(&self) -> View {
        let status = self.status();
        let (things, to_send) = (status.things, status.to_send);
        let silent = status.heard.map(|heard| heard.elapsed());
        let is_away = silent.is_none_or(|silent| silent > AWAY);
        let is_behind = [to_send, status.pending, status.their_pending] != [0; 3] || status.trouble.is_some();
        View {
            peer: self.peer.clone(),
            state: if is_away {
                "away"
            } else if is_behind {
                "behind"
            } else {
                "in step"
            }
            .to_owned(),
            silent_s: silent.map(|silent| silent.as_secs()),
            things,
            to_send,
            to_apply: status.pending,
            to_apply_there: status.their_pending,
            held: status.mine.as_ref().map(|stage| stage.held),
            held_there: status.theirs.as_ref().filter(|_| !is_away).map(|stage| stage.held),
            error: status.error.clone().or_else(|| status.trouble.clone()),
        }
    }

    /// Takes a letter of the other node: the status, the body, and its signature where the letter had a good one. Writes to
    /// the disk.
    pub fn take(&self, header: Option<&str>, body: &[u8]) -> (u16, Vec<u8>, Option<String>) {
        let now = clock::now().as_millis();
        let signed = header.and_then(Signed::parse);
        let checked = signature::request(&self.key, header, body, now).and_then(|signed| {
            let since = i64::try_from(self.started.saturating_sub(signed.time)).unwrap_or(i64::MAX);
            if since > 0 { Err(Refused::Clock(-since)) } else { Ok(signed) }
        });
        let mut answer = Answer { now, ..Answer::default() };
        let status = match checked {
            Ok(signed) => match self.read(&signed, body) {
                Ok(letter) => {
                    answer.letter = Some(letter);
                    200
                }
                Err((status, code, message)) => {
                    answer.error = Some((code.into(), message));
                    status
                }
            },
            // Only a sender with a valid signature is told the time of this machine.
            Err(why @ Refused::Clock(_)) => {
                answer.error = Some(("clock".into(), why.to_string()));
                401
            }
            Err(why) => {
                self.log_refused(why);
                let error =
                    serde_json::json!({ "error": { "code": "forbidden", "message": why.to_string() } });
                return (401, error.to_string().into_bytes(), None);
            }
        };
        let text = serde_json::to_vec(&answer).unwrap_or_default();
        let body = self.seal.close("answer", &text).unwrap_or_default();
        let signature = signed.map(|signed| self.key.sign(Purpose::Answer, now, &signed.nonce, &body));
        (status, body, signature)
    }

    fn read(&self, signed: &Signed, body: &[u8]) -> Result<Letter, (u16, &'static str, String)> {
        let bad = |message: &str| (400, "bad_request", message.to_owned());
        let text = self.seal.open("request", body).ok_or_else(|| bad("the letter is not sealed"))?;
        let letter: Letter = serde_json::from_slice(&text).map_err(|error| bad(&error.to_string()))?;
        // An empty list reads as a letter of nobody.
        if letter.node.is_empty() {
            return Err(bad("the letter has no sender"));
        }
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.get(&letter.node).is_some_and(|last| *last >= signed.time) {
                self.log_refused(Refused::Replayed);
                return Err((409, "replayed", "the letter is not newer than the last one".into()));
            }
            last.insert(letter.node.clone(), signed.time);
        }
        self.hear(&letter).map_err(|why| {
            self.log_refused(&why);
            let (status, code) = match why {
                Untaken::SameId { .. } => (409, "same_id"),
                Untaken::Ahead { .. } => (409, "ahead"),
                Untaken::File(_) => (503, "unavailable"),
            };
            (status, code, why.to_string())
        })?;
        Ok(self.letter(Some(&letter.node)))
    }

    fn log_refused(&self, why: impl std::fmt::Display) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.is_none_or(|last| last.elapsed() >= QUIET) {
            *quiet = Some(Instant::now());
            tracing::warn!("letter of a pair refused: {why}");
        }
    }

    /// Takes what a letter tells.
    pub(super) fn hear(&self, letter: &Letter) -> Result<(), Untaken> {
        let mut table = self.table();
        let file = || table.path().display().to_string();
        if letter.node == table.node() && letter.run != self.run {
            return Err(Untaken::SameId { file: file() });
        }
        if letter.node == table.node() || letter.node.is_empty() {
            return Ok(());
        }
        // Not a word of it: what is not taken now comes again, when the clocks are right.
        if Table::is_ahead(&letter.entries, clock::now().as_millis()) {
            return Err(Untaken::Ahead { file: file() });
        }
        let is_news = table.hear(&letter.entries);
        let before = table.peer(&letter.node);
        let mut peer = before.clone();
        if peer.run != letter.run {
            peer = Peer { run: letter.run.clone(), theirs: 0, ..peer };
        }
        // A gap is asked for again.
        if letter.from <= peer.theirs {
            peer.theirs = peer.theirs.max(letter.upto);
        }
        if let Some((run, seq)) = &letter.have {
            peer.ours = if *run == self.run && *seq <= table.seq() { *seq } else { 0 };
        }
        let is_changed = peer != before;
        if is_changed {
            table.set_peer(&letter.node, peer);
        }
        self.status().node = Some(letter.node.clone());
        self.count(&table);
        if is_news || is_changed {
            table.commit()?;
        }
        drop(table);
        let mut status = self.status();
        status.heard = Some(Instant::now());
        status.their_pending = letter.pending;
        status.theirs.clone_from(&letter.stage);
        drop(status);
        if is_news {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// What another node does not know yet; nothing for one that nobody knows.
    pub(super) fn letter(&self, to: Option<&str>) -> Letter {
        let table = self.table();
        let peer = to.map(|node| table.peer(node));
        let Peer { run, theirs, ours } = peer.unwrap_or_default();
        let (entries, upto) = match to {
            Some(_) => table.since(ours),
            None => (Vec::new(), 0),
        };
        let node = table.node().to_owned();
        let more = to.is_some() && upto < table.seq();
        drop(table);
        let status = self.status();
        Letter {
            node,
            run: self.run.clone(),
            from: ours,
            upto,
            more,
            entries,
            have: to.map(|_| (run, theirs)),
            pending: status.pending,
            stage: status.mine.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
