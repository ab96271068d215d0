//! All replicated things of a pair, as this node knows them, and the versions that this node shows. The table survives the daemon.
//!
//! Each thing has one row: its valid version, the version's number in this node's log, and the state that was last seen at this node (the
//! shadow). The log needs no compaction: a later version of a thing replaces the earlier one. A removed thing stays as a row without a
//! value for [`TOMBSTONE`], so that no node brings it back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_model::Timestamp;

use super::entry::{Clock, Entry, EntryKind, merge};
use super::marks::{Marks, Trust};
use super::twins;
use crate::admin::totp;
use crate::database::{self, Schema};

/// Time for which a removal is remembered.
const TOMBSTONE: Duration = Duration::from_secs(180 * 86_400);
/// Most rows of a letter, and most bytes.
const MOST_ROWS: usize = 500;
const MOST_BYTES: usize = 1 << 20;
/// Edits that are further ahead of this node's clock are refused, in milliseconds: among independent edits, they would win against
/// everything that this node does.
const MOST_AHEAD: u64 = 366 * 86_400_000;
/// Time of an edit that loses against any independent edit.
const FIRST_SIGHT: u64 = 1;

const SCHEMA: Schema = Schema { what: "pair", migrations: &[FIRST] };
const FIRST: &str = "
CREATE TABLE rows (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// State of a thing that was last seen at this node.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Shadow {
    value: Option<Value>,
    clock: Clock,
}

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    entry: Entry,
    seq: u64,
    shadow: Option<Shadow>,
}

/// A change that must be made at this node.
#[derive(Clone, PartialEq)]
pub(crate) struct Pending {
    /// Name of the thing.
    pub name: String,
    /// Value at this node before the change.
    pub was: Option<Value>,
    /// Value after the change.
    pub want: Option<Value>,
    clock: Clock,
}

/// Progress of the exchange between two nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Peer {
    /// Run of the other node's daemon to which `theirs` belongs: if that daemon's file comes from a backup, its numbers start lower again.
    pub run: String,
    /// Number in the other node's log up to which this node has its entries.
    pub theirs: u64,
    /// Number in this node's log up to which the other node has its entries.
    pub ours: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Meta {
    node: String,
    seq: u64,
    at: u64,
    peers: BTreeMap<String, Peer>,
    /// Marks of the files of this node.
    #[serde(flatten)]
    files: Marks,
    generation: u64,
    /// Kinds of things that the last daemon with this file knew.
    #[serde(default)]
    kinds: BTreeSet<String>,
}

/// The table. It holds secrets, so its `Debug` shows no values.
pub(crate) struct Table {
    path: PathBuf,
    database: Connection,
    meta: Meta,
    rows: BTreeMap<String, Row>,
    dirty: BTreeSet<String>,
    /// Number of the last change for which targets were compared.
    compared: u64,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} rows of {})", self.rows.len(), self.path.display())
    }
}

impl Table {
    /// Opens the file; `fresh` becomes the id of this node if the file has none.
    pub(crate) fn open(path: &Path, fresh: &str) -> Result<Self, database::Error> {
        let failed = |why| database::Error::Sqlite { path: path.into(), why };
        let database = database::open(path, SCHEMA)?;
        // Progress that the other node has learned of must survive even a power failure.
        database.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let (meta, rows) = read(&database).map_err(failed)?;
        let mut table = Self { path: path.into(), database, meta, rows, dirty: BTreeSet::new(), compared: 0 };
        let kinds: BTreeSet<String> = EntryKind::words().map(str::to_owned).collect();
        let is_new = table.meta.node.is_empty();
        if is_new {
            table.meta.node = fresh.to_owned();
        }
        if is_new || table.meta.kinds != kinds {
            // A version that does not know a kind skips its entries, so the other node sends all entries again.
            table.meta.peers.values_mut().for_each(|peer| peer.theirs = 0);
            table.meta.kinds = kinds;
            table.commit()?;
        }
        Ok(table)
    }

    /// Returns this node's id, which changes with a new file.
    pub(crate) fn node(&self) -> &str {
        &self.meta.node
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of the last change at this node.
    pub(crate) fn seq(&self) -> u64 {
        self.meta.seq
    }

    /// Returns the number of things that are not removed.
    pub(crate) fn count(&self) -> usize {
        self.rows.values().filter(|row| row.entry.value.is_some()).count()
    }

    /// Returns the names of the things that are not removed.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<String> {
        let there = self.rows.iter().filter(|(_, row)| row.entry.value.is_some());
        there.map(|(name, _)| name.clone()).collect()
    }

    /// Returns this node's id, and the marks of its files.
    pub(crate) fn files(&mut self) -> (&str, &mut Marks) {
        (&self.meta.node, &mut self.meta.files)
    }

    /// Returns the generation of the module's state file that was last seen.
    pub(crate) fn generation(&self) -> u64 {
        self.meta.generation
    }

    /// Stores this generation.
    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.meta.generation = generation;
    }

    /// Returns the progress of another node.
    pub(crate) fn peer(&self, node: &str) -> Peer {
        self.meta.peers.get(node).cloned().unwrap_or_default()
    }

    /// Stores the progress of another node.
    pub(crate) fn set_peer(&mut self, node: &str, peer: Peer) {
        // A pair has one other node, which has another id after its file was replaced.
        self.meta.peers.retain(|known, _| known == node);
        self.meta.peers.insert(node.to_owned(), peer);
    }

    /// Records the things of this node. With `trust`, a difference from the last seen state counts as an edit that was made here. Returns
    /// whether there are new entries for the other node.
    pub(crate) fn observe(
        &mut self,
        kinds: &[EntryKind],
        seen: &BTreeMap<String, Value>,
        trust: Trust,
        now: u64,
    ) -> bool {
        let of_kinds = |name: &str| EntryKind::of(name).is_some_and(|(kind, _)| kinds.contains(&kind));
        let known = self.rows.keys().filter(|name| of_kinds(name));
        let names: BTreeSet<String> = known.chain(seen.keys()).cloned().collect();
        let before = self.meta.seq;
        let is_known = matches!(trust, Trust::Known | Trust::Newer);
        let at = matches!(trust, Trust::Newer | Trust::Older).then_some(FIRST_SIGHT);
        for name in names {
            let Some((kind, _)) = EntryKind::of(&name) else { continue };
            let here = seen.get(&name);
            let Some(row) = self.rows.get_mut(&name) else {
                self.edit(kind, &name, here.cloned(), Clock::new(), (now, at));
                continue;
            };
            let value = row.shadow.as_ref().and_then(|shadow| shadow.value.as_ref());
            if is_known && value == here {
                continue;
            }
            let has_ended = value.and_then(|value| ends(kind, value)).is_some_and(|end| end <= now);
            if is_known && (here.is_some() || (kind.is_removed_when_missing() && !has_ended)) {
                let clock = row.shadow.take().map(|shadow| shadow.clock).unwrap_or_default();
                self.edit(kind, &name, here.cloned(), clock, (now, at));
                continue;
            }
            let clock = if row.entry.value.as_ref() == here { row.entry.clock.clone() } else { Clock::new() };
            let shadow =
                (here.is_some() || !clock.is_empty()).then(|| Shadow { value: here.cloned(), clock });
            if row.shadow != shadow {
                row.shadow = shadow;
                self.dirty.insert(name);
            }
        }
        self.meta.seq > before
    }

    /// Records an edit of this node, based on the version of this clock. If `at` is set, it replaces the time of the edit.
    fn edit(
        &mut self,
        kind: EntryKind,
        name: &str,
        value: Option<Value>,
        mut clock: Clock,
        (now, at): (u64, Option<u64>),
    ) {
        let known = clock.get(&self.meta.node).copied().unwrap_or_default();
        self.meta.at = now.max(self.meta.at.max(known).saturating_add(1));
        clock.insert(self.meta.node.clone(), self.meta.at);
        let entry = Entry {
            clock: clock.clone(),
            at: at.unwrap_or(self.meta.at),
            by: self.meta.node.clone(),
            value: value.clone(),
        };
        self.take(kind, name, &entry);
        if let Some(row) = self.rows.get_mut(name) {
            row.shadow = Some(Shadow { value, clock });
        }
    }

    /// Merges a version of a thing, from this node or from the other one, into the table.
    fn take(&mut self, kind: EntryKind, name: &str, entry: &Entry) {
        self.meta.at = self.meta.at.max(entry.at);
        let holds = match self.rows.get(name) {
            None => Some(entry.clone()),
            Some(row) => merge(kind, &row.entry, entry),
        };
        let Some(holds) = holds else { return };
        self.meta.seq += 1;
        let mut shadow = self.rows.get(name).and_then(|row| row.shadow.clone());
        // This node shows the valid version already, so a later edit here includes all edits of it.
        if let Some(shadow) = shadow.as_mut().filter(|shadow| shadow.value == holds.value) {
            shadow.clock.clone_from(&holds.clock);
        }
        self.rows.insert(name.to_owned(), Row { entry: holds, seq: self.meta.seq, shadow });
        self.dirty.insert(name.to_owned());
    }

    /// Returns whether an edit is so far ahead of this node's clock that it must be refused.
    pub(crate) fn is_ahead(entries: &[(String, Entry)], now: u64) -> bool {
        let latest = now.saturating_add(MOST_AHEAD);
        entries.iter().any(|(_, entry)| entry.clock.values().chain([&entry.at]).any(|at| *at > latest))
    }

    /// Records the entries of another node. Returns whether any is new here.
    pub(crate) fn hear(&mut self, entries: &[(String, Entry)]) -> bool {
        let before = self.meta.seq;
        for (name, entry) in entries {
            if let Some((kind, _)) = EntryKind::of(name) {
                self.take(kind, name, entry);
            }
        }
        self.meta.seq > before
    }

    /// Removes all but one of the targets that push a stream to the same URL.
    pub(crate) fn remove_repeated(&mut self, now: u64) -> bool {
        if std::mem::replace(&mut self.compared, self.meta.seq) == self.meta.seq {
            return false;
        }
        let targets = self.rows.iter().filter(|(name, _)| name.starts_with("target/"));
        let gone = twins::repeated(targets.filter_map(|(_, row)| row.entry.value.as_ref()));
        for id in &gone {
            let name = EntryKind::Target.name(id);
            let Some(row) = self.rows.get(&name) else { continue };
            let (clock, shadow) = (row.entry.clock.clone(), row.shadow.clone());
            self.edit(EntryKind::Target, &name, None, clock, (now, None));
            // The target still exists at this node until it is removed.
            if let Some(row) = self.rows.get_mut(&name) {
                row.shadow = shadow;
            }
        }
        !gone.is_empty()
    }

    /// Returns the changes that must be made at this node, for these kinds. Removals are first.
    pub(crate) fn pending(&self, kinds: &[EntryKind], now: u64) -> Vec<Pending> {
        let differs = |(name, row): (&String, &Row)| {
            let (kind, _) = EntryKind::of(name).filter(|(kind, _)| kinds.contains(kind))?;
            let was = row.shadow.as_ref().and_then(|shadow| shadow.value.as_ref());
            let want = row.entry.value.as_ref();
            let is_over = || want.is_some_and(|want| ends(kind, want).is_some_and(|end| end <= now));
            let is_pending = was != want && !is_over();
            is_pending.then(|| Pending {
                name: name.clone(),
                was: was.cloned(),
                want: want.cloned(),
                clock: row.entry.clock.clone(),
            })
        };
        let mut pending: Vec<Pending> = self.rows.iter().filter_map(differs).collect();
        pending.sort_by_key(|one| one.want.is_some());
        pending
    }

    /// Notes that this node shows the change now.
    pub(crate) fn applied(&mut self, done: &Pending) {
        if let Some(row) = self.rows.get_mut(&done.name) {
            row.shadow = Some(Shadow { value: done.want.clone(), clock: done.clock.clone() });
            self.dirty.insert(done.name.clone());
        }
    }

    /// Returns the rows after a number of this node's log, the oldest first, and the number that they reach.
    pub(crate) fn since(&self, seq: u64) -> (Vec<(String, Entry)>, u64) {
        let mut newer: Vec<(&String, &Row)> = self.rows.iter().filter(|(_, row)| row.seq > seq).collect();
        newer.sort_by_key(|(_, row)| row.seq);
        let (mut upto, mut bytes, mut letter) = (self.meta.seq, 0, Vec::new());
        for (name, row) in newer {
            bytes += name.len() + row.entry.value.as_ref().map_or(0, |value| value.to_string().len()) + 128;
            if letter.len() == MOST_ROWS || (bytes > MOST_BYTES && !letter.is_empty()) {
                break;
            }
            upto = row.seq;
            letter.push((name.clone(), row.entry.clone()));
        }
        let is_all = letter.last().is_none_or(|_| !self.rows.values().any(|row| row.seq > upto));
        (letter, if is_all { self.meta.seq } else { upto })
    }

    /// Returns the number of rows after a number of the log.
    pub(crate) fn count_since(&self, seq: u64) -> usize {
        self.rows.values().filter(|row| row.seq > seq).count()
    }

    /// Forgets things that have ended, and old removals that the other node knows.
    pub(crate) fn tidy(&mut self, now: u64) {
        let old = now.saturating_sub(u64::try_from(TOMBSTONE.as_millis()).unwrap_or(u64::MAX));
        let acknowledged = self.meta.peers.values().map(|peer| peer.ours).min().unwrap_or_default();
        let is_over = |name: &str, row: &Row| match &row.entry.value {
            // The time of an edit that was found late is unknown (FIRST_SIGHT), and its clock is not.
            None => row.entry.clock.values().all(|at| *at < old) && row.seq <= acknowledged,
            Some(value) => {
                EntryKind::of(name).and_then(|(kind, _)| ends(kind, value)).is_some_and(|end| end <= now)
            }
        };
        let over: Vec<String> =
            self.rows.iter().filter(|(name, row)| is_over(name, row)).map(|(name, _)| name.clone()).collect();
        for name in over {
            self.rows.remove(&name);
            self.dirty.insert(name);
        }
    }

    /// Writes all changes in one transaction.
    pub(crate) fn commit(&mut self) -> Result<(), database::Error> {
        let path = self.path.clone();
        let failed = |why| database::Error::Sqlite { path, why };
        write(&mut self.database, &self.meta, &self.rows, &self.dirty).map_err(failed)?;
        self.dirty.clear();
        Ok(())
    }
}

/// Returns the time at which a thing ends by itself, in milliseconds since 1970.
fn ends(kind: EntryKind, value: &Value) -> Option<u64> {
    match kind {
        EntryKind::Ban | EntryKind::TimeOut => value["until"].as_u64(),
        EntryKind::Token => {
            serde_json::from_value::<Timestamp>(value["expires_at"].clone()).ok().map(Timestamp::as_millis)
        }
        EntryKind::Code => value["step"].as_u64().map(totp::end_of),
        EntryKind::Key | EntryKind::Target | EntryKind::Admin | EntryKind::Chat | EntryKind::Slow => None,
    }
}

fn read(database: &Connection) -> rusqlite::Result<(Meta, BTreeMap<String, Row>)> {
    let meta: Option<String> = {
        let mut query = database.prepare("SELECT value FROM meta WHERE name = 'table'")?;
        let mut found = query.query_map([], |row| row.get(0))?;
        found.next().transpose()?
    };
    let meta = meta.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut query = database.prepare("SELECT name, body FROM rows")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let row = |(name, body): (String, String)| Some((name, serde_json::from_str(&body).ok()?));
    Ok((meta, rows.into_iter().filter_map(row).collect()))
}

fn write(
    database: &mut Connection,
    meta: &Meta,
    rows: &BTreeMap<String, Row>,
    dirty: &BTreeSet<String>,
) -> rusqlite::Result<()> {
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    let transaction = database.transaction()?;
    for name in dirty {
        match rows.get(name) {
            Some(row) => transaction
                .prepare_cached("INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3)")?
                .execute(params![
                    name,
                    i64::try_from(row.seq).unwrap_or(i64::MAX),
                    text(serde_json::to_string(row))
                ])?,
            None => transaction.execute("DELETE FROM rows WHERE name = ?1", [name])?,
        };
    }
    transaction
        .execute("INSERT OR REPLACE INTO meta VALUES ('table', ?1)", [text(serde_json::to_string(meta))])?;
    transaction.commit()
}

#[cfg(test)]
mod tests;
