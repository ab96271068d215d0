//! Revoked tokens: one record each. Every worker reads them again when their generation has changed.
//!
//! A revocation is valid from the moment when it is written here, and is never undone: the state file may lack it for
//! some time, and a state file without it does not remove it. It takes one block with a `jti` or name of ordinary
//! length, and at most four.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use weir_model::{
    AppName, StreamName, Timestamp,
    token::{MAX_KEPT_REVOCATIONS, MAX_REVOCATIONS, Revocation, Revoked, Subject},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;

/// From the lowest bit: the kind, the length of the `jti` or the application, the length of the stream, and whether the
/// state file may lack the revocation.
const SHAPE: usize = 2;
const REVOKED: usize = 3;
const EXPIRES: usize = 4;
/// Rises with each revocation, also over a restart.
const ORDER: usize = 5;

const OF_TOKEN: u64 = 1;
const OF_STREAM: u64 = 2;
const OF_APPLICATION: u64 = 3;
const UNSAVED: u64 = 1 << 24;

/// Why tokens cannot be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The maximum number of revocations is reached.
    #[error(
        "{MAX_REVOCATIONS} revocations or more are kept already, as many as possible: revoke the tokens of a whole stream or application, \
         or replace the secret"
    )]
    TooMany,
    /// The zone has no free block.
    #[error(transparent)]
    ZoneFull(#[from] ZoneFull),
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns a counter that rises with each change of the revocations; 0 if there never was one.
    pub fn revocations_generation(&self) -> u64 {
        self.root.revocations.load(Relaxed)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Revokes tokens immediately, even if the state file does not contain the revocation yet.
    pub fn revoke_tokens(&self, revocation: &Revocation) -> Result<(), RevocationError> {
        self.revoke_at_most(revocation, MAX_REVOCATIONS)
    }

    /// The same for what the other node of a pair has revoked: there is room for all of both.
    pub fn replicate_revocation(&self, revocation: &Revocation) -> Result<(), RevocationError> {
        self.revoke_at_most(revocation, MAX_KEPT_REVOCATIONS)
    }

    fn revoke_at_most(&self, revocation: &Revocation, most: usize) -> Result<(), RevocationError> {
        let places = self.revocation_places();
        let known = places.get(&revocation.what).and_then(|at| self.zone.block(*at));
        if known.is_none() && places.len() >= most {
            return Err(RevocationError::TooMany);
        }
        self.write_revocation(known, revocation, UNSAVED)?;
        self.note_revocation();
        Ok(())
    }

    /// Marks these revocations as saved in the state file.
    pub fn saved_revocations(&self, revocations: &[Revocation]) {
        let places = if revocations.is_empty() { HashMap::new() } else { self.revocation_places() };
        for revocation in revocations {
            let block = places.get(&revocation.what).and_then(|at| self.zone.block(*at));
            // The tokens may have been revoked again since.
            if let Some(block) =
                block.filter(|block| self.read_revocation(block).as_ref() == Some(revocation))
            {
                block.set(SHAPE, block.word(SHAPE) & !UNSAVED);
            }
        }
    }

    /// Returns the revocations that the state file may lack.
    #[must_use]
    pub fn unsaved_revocations(&self) -> Vec<Revocation> {
        self.list_revocations(|block| block.word(SHAPE) & UNSAVED != 0)
    }

    /// Returns every revocation, the oldest first.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.list_revocations(|_| true)
    }

    /// Removes revocations whose tokens have all expired.
    pub fn forget_ended_revocations(&self, now: Timestamp) {
        if self.zone.revocations_generation() == 0 {
            return;
        }
        let is_over = |(_, block): &(Index, &Block)| block.word(EXPIRES) <= now.as_millis();
        let over: Vec<Index> =
            self.records(BlockKind::Revocation).filter(is_over).map(|(at, _)| at).collect();
        if !over.is_empty() {
            over.into_iter().for_each(|at| _ = self.free_record(at));
            self.revocations_changed();
        }
    }

    /// Returns how many blocks the missing revocations of a state file need.
    pub(crate) fn revocations_needed(&self, revocations: &[Revocation]) -> usize {
        if revocations.is_empty() {
            return 0;
        }
        let places = self.revocation_places();
        let missing = revocations.iter().filter(|revocation| !places.contains_key(&revocation.what));
        missing.map(|revocation| BlockKind::Revocation.blocks_for(text(&revocation.what).len())).sum()
    }

    /// Adds the revocations of a state file. Revocations that only this zone has stay, and are written to the file
    /// later.
    pub(crate) fn adopt_revocations(&self, revocations: &[Revocation]) -> Result<(), ZoneFull> {
        if revocations.is_empty() && self.zone.revocations_generation() == 0 {
            return Ok(());
        }
        let mut places = self.revocation_places();
        for revocation in revocations {
            let at = places.remove(&revocation.what);
            self.write_revocation(at.and_then(|at| self.zone.block(at)), revocation, 0)?;
        }
        for block in places.into_values().filter_map(|at| self.zone.block(at)) {
            block.set(SHAPE, block.word(SHAPE) | UNSAVED);
            self.note_revocation();
        }
        Ok(())
    }

    /// Makes the workers read the list again.
    pub(crate) fn revocations_changed(&self) {
        self.zone.root.revocations.fetch_add(1, Relaxed);
    }

    /// Writes a revocation, or updates the one of the same tokens.
    fn write_revocation(
        &self,
        known: Option<&Block>,
        revocation: &Revocation,
        unsaved: u64,
    ) -> Result<(), ZoneFull> {
        if let Some(block) = known {
            let Some(mut here) = self.read_revocation(block) else { return Ok(()) };
            if here.merge(revocation) {
                block.set(EXPIRES, here.expires_at.as_millis());
                block.set(REVOKED, here.revoked_at.as_millis());
                block.set(SHAPE, block.word(SHAPE) | unsaved);
                self.revocations_changed();
            }
            return Ok(());
        }
        let text = text(&revocation.what);
        let order = self.next_session();
        self.write(BlockKind::Revocation, &text, self.reserve() / 2, |block| {
            block.set(SHAPE, shape(&revocation.what) | unsaved);
            block.set(REVOKED, revocation.revoked_at.as_millis());
            block.set(EXPIRES, revocation.expires_at.as_millis());
            block.set(ORDER, order);
        })?;
        self.revocations_changed();
        Ok(())
    }

    fn revocation_places(&self) -> HashMap<Revoked, Index> {
        let records = self.records(BlockKind::Revocation);
        records.filter_map(|(at, block)| Some((self.read_revocation(block)?.what, at))).collect()
    }

    fn list_revocations(&self, which: impl Fn(&Block) -> bool) -> Vec<Revocation> {
        let mut blocks: Vec<&Block> = self
            .records(BlockKind::Revocation)
            .map(|(_, block)| block)
            .filter(|block| which(block))
            .collect();
        blocks.sort_by_key(|block| block.word(ORDER));
        blocks.into_iter().filter_map(|block| self.read_revocation(block)).collect()
    }

    fn read_revocation(&self, block: &Block) -> Option<Revocation> {
        let shape = block.word(SHAPE);
        let [first, second] = [8, 16].map(|shift| (shape >> shift & 0xff) as usize);
        let text = self.text(block, first + second);
        let (first, second) = text.split_at_checked(first)?;
        let what = match shape & 0xff {
            OF_TOKEN => Revoked::Token(str::from_utf8(first).ok()?.parse().ok()?),
            kind @ (OF_STREAM | OF_APPLICATION) => Revoked::Streams(Subject {
                app: AppName::parse(first).ok()?,
                stream: (kind == OF_STREAM).then(|| StreamName::parse(second)).transpose().ok()?,
            }),
            _ => return None,
        };
        Some(Revocation {
            what,
            revoked_at: Timestamp::from_millis(block.word(REVOKED)),
            expires_at: Timestamp::from_millis(block.word(EXPIRES)),
        })
    }
}

/// `weir_model` has checked the lengths: one byte each.
fn parts(what: &Revoked) -> [&[u8]; 2] {
    match what {
        Revoked::Token(id) => [id.as_str().as_bytes(), b""],
        Revoked::Streams(Subject { app, stream }) => {
            [app.as_str().as_bytes(), stream.as_ref().map_or("", StreamName::as_str).as_bytes()]
        }
    }
}

fn text(what: &Revoked) -> Vec<u8> {
    parts(what).concat()
}

fn shape(what: &Revoked) -> u64 {
    let kind = match what {
        Revoked::Token(_) => OF_TOKEN,
        Revoked::Streams(Subject { stream: Some(_), .. }) => OF_STREAM,
        Revoked::Streams(Subject { stream: None, .. }) => OF_APPLICATION,
    };
    let [first, second] = parts(what).map(|part| part.len() as u64 & 0xff);
    kind | first << 8 | second << 16
}
