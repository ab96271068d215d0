//! Revoked tokens: a record each, which every worker reads again when their generation has changed.
//!
//! A revocation holds from the moment in which it is written here, and is never taken back: the state file may lack it for a while,
//! and a file that lacks it takes nothing away. It takes one block with a usual `jti` or name, and four at most.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use weir_model::{
    AppName, StreamName, Timestamp,
    token::{MAX_REVOCATIONS, Revocation, Revoked, Subject},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;

/// From the lowest bit: the kind, the length of the `jti` or the application, that of the stream, whether the state file may lack
/// it.
const SHAPE: usize = 2;
const REVOKED: usize = 3;
const EXPIRES: usize = 4;
/// Rises with each revocation, over a restart too.
const ORDER: usize = 5;

const OF_TOKEN: u64 = 1;
const OF_STREAM: u64 = 2;
const OF_APPLICATION: u64 = 3;
const UNSAVED: u64 = 1 << 24;

/// Why tokens cannot be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// There are as many revocations as are kept.
    #[error(
        "{MAX_REVOCATIONS} revocations are kept already, as many as possible: revoke the tokens of a whole stream or application, \
         or replace the secret"
    )]
    TooMany,
    /// The zone has no room.
    #[error(transparent)]
    ZoneFull(#[from] ZoneFull),
}

impl<M: Mutex> Zone<'_, M> {
    /// Raised with each change of what is revoked; 0 as long as nothing ever was.
    pub fn revocations_generation(&self) -> u64 {
        self.root.revocations.load(Relaxed)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Tokens open nothing from now on, although the state file may not say so yet.
    pub fn revoke_tokens(&self, revocation: &Revocation) -> Result<(), RevocationError> {
        let places = self.revocation_places();
        let known = places.get(&revocation.what).and_then(|at| self.zone.block(*at));
        if known.is_none() && places.len() >= MAX_REVOCATIONS {
            return Err(RevocationError::TooMany);
        }
        self.write_revocation(known, revocation, UNSAVED)?;
        self.note_revocation();
        Ok(())
    }

    /// The state file has these revocations.
    pub fn saved_revocations(&self, revocations: &[Revocation]) {
        let places = if revocations.is_empty() { HashMap::new() } else { self.revocation_places() };
        for revocation in revocations {
            let block = places.get(&revocation.what).and_then(|at| self.zone.block(*at));
            // It may be revoked once more since.
            if let Some(block) =
                block.filter(|block| self.read_revocation(block).as_ref() == Some(revocation))
            {
                block.set(SHAPE, block.word(SHAPE) & !UNSAVED);
            }
        }
    }

    /// The revocations that the state file may lack.
    #[must_use]
    pub fn unsaved_revocations(&self) -> Vec<Revocation> {
        self.list_revocations(|block| block.word(SHAPE) & UNSAVED != 0)
    }

    /// Every revocation, the first one first.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.list_revocations(|_| true)
    }

    /// Forgets revocations of which no token is valid any more.
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

    /// Blocks that those of a state file take which are not here.
    pub(crate) fn revocations_needed(&self, revocations: &[Revocation]) -> usize {
        if revocations.is_empty() {
            return 0;
        }
        let places = self.revocation_places();
        let missing = revocations.iter().filter(|revocation| !places.contains_key(&revocation.what));
        missing.map(|revocation| BlockKind::Revocation.blocks_for(text(&revocation.what).len())).sum()
    }

    /// Adds those of a state file; what is revoked here and not there stays revoked, and is written there.
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

    /// Workers read the list again.
    pub(crate) fn revocations_changed(&self) {
        self.zone.root.revocations.fetch_add(1, Relaxed);
    }

    /// Writes a revocation, or into the block that has one of the same tokens.
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

/// `weir_model` has checked their lengths: a byte each.
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
