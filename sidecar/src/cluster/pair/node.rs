//! This node of a pair: its knowledge of the other node, and the letters between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::seal::Seal;
use super::table::{Peer, Table};
use super::twins::Stage;
use super::wire::{Answer, Letter};
use crate::chat::Chat;
use crate::cluster::figures::Figures;
use crate::cluster::machine::skew;
use crate::cluster::signature::{self, Key, KeyError, Purpose, Refused, Signed, check_start, is_newer};
use crate::config::cluster::Pair as Settings;
use crate::{clock, database, nginx};

/// Shortest time between two log lines about refused requests.
const QUIET: Duration = Duration::from_secs(60);
/// Time without a letter after which the other node counts as away.
const AWAY: Duration = Duration::from_secs(5);

/// Longest version that is shown, in bytes.
const MAX_WORD: usize = 64;

/// Reason why this node cannot be a node of a pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The secret cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Edges know the secret, so they could write letters.
    #[error(
        "pair_secret_file of [cluster] holds the same secret as secret_file, which edges have, too: weir secret new makes another one"
    )]
    SameSecret,
    /// The file with the replicated things cannot be used.
    #[error("pair_file of [cluster]: {0}")]
    File(#[from] database::Error),
    /// The module's API cannot be used.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// The system has no random bytes, or a thread or a client cannot be created.
    #[error("pair: {0}")]
    System(String),
}

/// Reason why a letter is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untaken {
    /// Both nodes have the same file.
    #[error(
        "both nodes of the pair have the same id, because one machine is a copy of the other: on one of them stop weir serve, remove \
         {file} and start weir serve again; it gets everything back from the other node"
    )]
    SameId {
        /// Path of `pair_file`.
        file: String,
    },
    /// The clock of a node is wrong, or the node lies.
    #[error(
        "an edit is more than a year ahead of this node's clock: set the clocks of both nodes by NTP; if that does not help, stop \
         weir serve on the node that was edited with a wrong clock, remove {file} and start weir serve again"
    )]
    Ahead {
        /// Path of `pair_file`.
        file: String,
    },
    /// This node's own file cannot be written.
    #[error(transparent)]
    File(#[from] database::Error),
}

/// This node of a pair.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(super) peer: String,
    pub(super) key: Key,
    pub(super) seal: Seal,
    /// Id of this run of the daemon. If it changes, the other node starts again from the first entry.
    run: String,
    /// Start of this daemon. Letters from before are refused, because they may have arrived already.
    epoch: Instant,
    table: Mutex<Table>,
    /// Signals changes to apply to this node.
    pub(super) changed: Notify,
    /// Signals new entries for the other node.
    pub(super) tell: Notify,
    /// Times of the last letters, and their arrivals, by sender.
    last: Mutex<HashMap<String, (u64, Instant)>>,
    status: Mutex<Status>,
    /// The chat, whose messages both nodes have.
    chat: Option<Arc<Chat>>,
    words: Mutex<Words>,
    quiet: Mutex<Option<Instant>>,
}

/// The words of the chat that were exchanged.
#[derive(Debug, Default)]
struct Words {
    /// Run of the other node's daemon, and the number of its last word that this node has.
    have: (String, u64),
    /// Number of the last word that the other node has; `None` if it takes none.
    told: Option<u64>,
}

/// State of the pair.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Time of the last letter from the other node.
    pub(super) heard: Option<Instant>,
    /// Id of the other node.
    pub(super) node: Option<String>,
    /// Number of common things, and of those that the other node does not have yet. They are stored here, so that a query does not wait for
    /// the file.
    things: usize,
    to_send: usize,
    /// Number of changes that the other node has not applied.
    pub(super) their_pending: usize,
    /// Number of changes that this node has not applied.
    pub(super) pending: usize,
    pub(super) mine: Option<Stage>,
    pub(super) theirs: Option<Stage>,
    /// Figures of this node, for the next letter.
    pub(super) figures: Option<Figures>,
    /// Figures from the other node's last letter.
    twin: Twin,
    /// Reason why the other node does not answer.
    pub(super) error: Option<String>,
    /// Reason why this node's module cannot be read.
    pub(super) trouble: Option<String>,
}

/// What administrators see of the other node. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Twin {
    /// Version of its daemon.
    pub version: Option<String>,
    /// Its clock minus this node's, in milliseconds.
    pub skew_ms: Option<i64>,
    /// Its workers, zone, disks and load.
    pub figures: Option<Figures>,
}

/// State of the pair, as commands and pages show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    /// Address of the other node's pages.
    pub peer: String,
    /// `in step`, `behind` or `away`.
    pub state: String,
    /// Time since the last letter from the other node, in seconds; `None` if there was none.
    pub silent_s: Option<u64>,
    /// Number of common things: keys, targets, bans, revocations, administrators.
    pub things: usize,
    /// Number of changes that the other node does not have yet.
    pub to_send: usize,
    /// Number of changes that are not in force at this node yet.
    pub to_apply: usize,
    /// Number of changes that are not in force at the other node yet.
    pub to_apply_there: usize,
    /// This node pushes nothing, because keepalived has made it the standby.
    pub held: Option<bool>,
    /// The other node pushes nothing, because keepalived has made it the standby.
    pub held_there: Option<bool>,
    /// The fault, if there is one.
    pub error: Option<String>,
    /// The other node, from its last letter.
    #[serde(default)]
    pub twin: Twin,
}

/// First words of the problem of a node that hears nothing from the other one.
pub(crate) const NO_LETTERS: &str = "no letters from the other node of the pair";

impl View {
    /// Returns a message for the administrator, or `None` if there is no problem.
    pub(crate) fn problem(&self) -> Option<String> {
        let why = self.error.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        match (self.state.as_str(), &self.error) {
            ("away", _) => {
                let since = self.silent_s.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
                Some(format!("{NO_LETTERS}, {}{since}{why}", self.peer))
            }
            (_, Some(_)) => Some(format!("this node of the pair is not in step{why}")),
            _ => None,
        }
    }
}

impl Pair {
    /// Opens the node as configured, and reads its file.
    pub(crate) fn open(settings: &Settings, key: Key, chat: Option<Arc<Chat>>) -> Result<Self, Error> {
        let system = |what: &str| Error::System(what.to_owned());
        let seal = Seal::new(&key).ok_or_else(|| system("no seal"))?;
        let random = || signature::nonce().ok_or_else(|| system("no random bytes"));
        let (run, fresh) = (random()?, random()?);
        let pair = Self {
            peer: settings.peer.as_str().to_owned(),
            key,
            seal,
            run,
            epoch: Instant::now(),
            table: Mutex::new(Table::open(&settings.file, &fresh)?),
            changed: Notify::new(),
            tell: Notify::new(),
            last: Mutex::default(),
            status: Mutex::default(),
            chat,
            words: Mutex::default(),
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

    /// Updates the counts in the status. Callers do this before they write the table, because the write may take long.
    pub(super) fn count(&self, table: &Table) {
        let mut status = self.status();
        let told = status.node.as_deref().map_or(0, |node| table.peer(node).ours);
        (status.things, status.to_send) = (table.count(), table.count_since(told));
    }

    /// Returns the state of the pair, without waiting for a file.
    pub(crate) fn view(&self) -> View {
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
            twin: status.twin.clone(),
        }
    }

    /// Handles a letter of the other node. Returns the status, the body, and the body's signature if the letter had a valid one. Writes to
    /// the disk.
    pub(crate) fn take(&self, header: Option<&str>, body: &[u8]) -> (u16, Vec<u8>, Option<String>) {
        let now = clock::now().as_millis();
        let signed = header.and_then(Signed::parse);
        let checked = signature::request(&self.key, header, body, now)
            .and_then(|signed| check_start(&signed, now, self.epoch.elapsed()).map(|()| signed));
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
            // Only a sender with a valid signature learns the time of this machine.
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
        // An empty list is parsed as a letter without a sender.
        if letter.node.is_empty() {
            return Err(bad("the letter has no sender"));
        }
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let is_newer = |(last, arrived): &(u64, Instant)| {
                is_newer(signed.time, *last, clock::at(*arrived).as_millis())
            };
            if last.get(&letter.node).is_some_and(|last| !is_newer(last)) {
                self.log_refused(Refused::Replayed);
                return Err((409, "replayed", "the letter is not newer than the last one".into()));
            }
            last.insert(letter.node.clone(), (signed.time, Instant::now()));
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

    /// Records the entries and the state of a letter.
    pub(super) fn hear(&self, letter: &Letter) -> Result<(), Untaken> {
        let mut table = self.table();
        let file = || table.path().display().to_string();
        if letter.node == table.node() && letter.run != self.run {
            return Err(Untaken::SameId { file: file() });
        }
        if letter.node == table.node() || letter.node.is_empty() {
            return Ok(());
        }
        // No entry is taken; they are sent again once the clocks are right. Which node pushes must be known all the same.
        if Table::is_ahead(&letter.entries, clock::now().as_millis()) {
            let file = file();
            drop(table);
            self.note(letter);
            return Err(Untaken::Ahead { file });
        }
        let is_news = table.hear(&letter.entries);
        let before = table.peer(&letter.node);
        let mut peer = before.clone();
        if peer.run != letter.run {
            peer = Peer { run: letter.run.clone(), theirs: 0, ..peer };
        }
        // Entries after a gap are requested again.
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
        self.note(letter);
        if is_news {
            self.changed.notify_one();
        }
        self.hear_words(letter);
        Ok(())
    }

    /// Takes the words of the chat that are new. Letters may cross, so a word may come twice.
    fn hear_words(&self, letter: &Letter) {
        let Some(chat) = &self.chat else { return };
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_this_run = |(run, _): &&(String, u64)| *run == self.run;
        let told = letter.have_words.as_ref();
        words.told = told.map(|have| Some(have).filter(is_of_this_run).map_or(0, |(_, seen)| *seen));
        if words.have.0 != letter.run {
            words.have = (letter.run.clone(), 0);
        }
        let seen = words.have.1;
        chat.take_over_words(letter.words.iter().filter(|(n, _)| *n > seen).map(|(_, word)| word.clone()));
        words.have.1 = letter.words.iter().map(|(n, _)| *n).fold(seen, u64::max);
    }

    /// Adds the next words of this node's chat to a letter, and which words of the other node this node has.
    fn add_words(&self, letter: &mut Letter) {
        let Some(chat) = &self.chat else { return };
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        letter.words = words.told.map(|told| chat.words_after(told)).unwrap_or_default();
        letter.have_words = Some(words.have.clone());
    }

    /// Notes the state of the other node.
    fn note(&self, letter: &Letter) {
        let mut status = self.status();
        status.heard = Some(Instant::now());
        status.their_pending = letter.pending;
        status.theirs.clone_from(&letter.stage);
        let is_word =
            |text: &&String| text.len() <= MAX_WORD && text.bytes().all(|byte| byte.is_ascii_graphic());
        status.twin = Twin {
            version: letter.version.as_ref().filter(is_word).cloned(),
            skew_ms: letter.clock.map(|theirs| skew(theirs, clock::now().as_millis())),
            figures: letter.figures.clone().and_then(Figures::checked),
        };
    }

    /// Returns a letter with the entries that another node does not have yet; without entries for an unknown node.
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
        let mut letter = Letter {
            node,
            run: self.run.clone(),
            from: ours,
            upto,
            more,
            entries,
            have: to.map(|_| (run, theirs)),
            pending: status.pending,
            stage: status.mine.clone(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            clock: Some(clock::now().as_millis()),
            figures: status.figures.clone(),
            ..Letter::default()
        };
        drop(status);
        self.add_words(&mut letter);
        letter
    }
}

#[cfg(test)]
mod tests;
