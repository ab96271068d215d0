//! Push targets: one record each. Every worker reads them again when their generation has changed.
//!
//! A target takes two blocks with a URL of ordinary length, and at most twenty-five. 1,000 targets with URLs of 100
//! bytes take a quarter of a zone of 1 MB.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use weir_model::{
    AppName, ServerAddr,
    server::MAX_SERVER_LEN,
    target::{Target, TargetId, TargetSource, TargetUrl},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;

const ID: usize = 2;
/// Rises with each new target, also over a restart.
const ORDER: usize = 3;
/// From the lowest bit: lengths of application, stream, note and URL, whether the target is enabled, whether it is
/// pending, and for which worker.
const SHAPE: usize = 4;
/// The generation of the record: of two records with one id, the newer is valid.
const CHANGED: usize = 5;

const URL_FROM: u32 = 24;
const LENGTHS: u64 = (1 << 36) - 1;
const ENABLED: u64 = 1 << 36;
const PENDING: u64 = 1 << 37;
/// The text ends with the address of a `server` block.
const LIMITED: u64 = 1 << 38;
const PID_FROM: u32 = 40;

/// The changes that make the zone's targets those of a state file.
pub(crate) struct TargetPlan<'t> {
    missing: Vec<&'t Target>,
    stale: Vec<(Index, TargetId)>,
    freed: usize,
}

impl TargetPlan<'_> {
    /// Returns how many blocks the removal of stale records frees.
    pub(crate) fn freed(&self) -> usize {
        self.freed
    }

    /// Returns how many blocks the missing records need.
    pub(crate) fn needed(&self) -> usize {
        self.missing.iter().map(|target| blocks_for(target)).sum()
    }
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns a counter that rises with each change that adds, changes or removes a target.
    pub fn targets_generation(&self) -> u64 {
        self.root.targets.load(Relaxed)
    }

    /// Returns whether pushes are held, so that nothing is pushed from here.
    pub fn is_held(&self) -> bool {
        self.root.held.load(Relaxed) != 0
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Adds a target that is not in the state file yet, and that no reader sees. It is freed if the worker `pid`, which
    /// writes that file, dies.
    pub fn pend_target(&self, target: &Target, pid: u32) -> Result<(), ZoneFull> {
        self.write_target(target, self.next_session(), Some(pid), self.reserve())
    }

    /// Returns the target, also a pending one, that would push the same stream to the same URL.
    #[must_use]
    pub fn repeated_target(&self, target: &Target) -> Option<TargetId> {
        let all = self.records(BlockKind::Target).filter_map(|(_, block)| self.read_target(block));
        all.filter(|other| other.id != target.id).find(|other| target.repeats(other)).map(|other| other.id)
    }

    /// Makes a pending target valid.
    pub fn confirm_target(&self, id: TargetId) {
        if let Some((_, block)) = self.find_target(id, true) {
            block.set(SHAPE, block.word(SHAPE) & (LENGTHS | ENABLED | LIMITED));
            self.targets_changed();
        }
    }

    /// Holds all pushes, or releases them.
    pub fn hold_pushes(&self, held: bool) {
        if self.zone.root.held.swap(u64::from(held), Relaxed) != u64::from(held) {
            self.targets_changed();
        }
    }

    /// Removes a pending target.
    pub fn forget_target(&self, id: TargetId) {
        if let Some((at, _)) = self.find_target(id, true) {
            self.remove(id.0, at);
        }
    }

    /// Replaces the target of the same id. Returns whether it existed. A change that only enables or disables a target
    /// fits into any zone.
    pub fn replace_target(&self, target: &Target) -> Result<bool, ZoneFull> {
        let Some((at, old)) = self.find_target(target.id, false) else { return Ok(false) };
        let (shape, text) = (shape(target), text(target));
        if old.word(SHAPE) & LENGTHS == shape & LENGTHS && self.text(old, text.len()) == text {
            old.set(SHAPE, shape);
        } else {
            // The new record is written first: if the caller dies between the two, both records exist.
            self.write_target(target, old.word(ORDER), None, 0)?;
            self.remove(target.id.0, at);
        }
        self.targets_changed();
        Ok(true)
    }

    /// Removes a target. Returns whether it existed.
    pub fn remove_target(&self, id: TargetId) -> bool {
        let found = self.find_target(id, false);
        if let Some((at, _)) = found {
            self.remove(id.0, at);
            self.targets_changed();
        }
        found.is_some()
    }

    /// Returns the target with this id.
    #[must_use]
    pub fn target(&self, id: TargetId) -> Option<Target> {
        self.find_target(id, false).and_then(|(_, block)| self.read_target(block))
    }

    /// Returns every target, the oldest first.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let mut blocks: Vec<&Block> = self.visible_targets().map(|(_, block)| block).collect();
        blocks.sort_by_key(|block| block.word(ORDER));
        blocks.into_iter().filter_map(|block| self.read_target(block)).collect()
    }

    /// Returns the changes that make the targets those of a state file. Correct records are not touched.
    pub(crate) fn plan_targets<'t>(&self, wanted: &'t [Target]) -> TargetPlan<'t> {
        let mut missing: BTreeMap<TargetId, (usize, &Target)> =
            wanted.iter().enumerate().map(|(nth, target)| (target.id, (nth, target))).collect();
        let (mut stale, mut freed) = (Vec::new(), 0);
        for (at, block) in self.visible_targets() {
            let id = TargetId(block.word(ID));
            let here = self.read_target(block);
            if here.as_ref().is_some_and(|here| missing.get(&id).is_some_and(|(_, wanted)| *wanted == here)) {
                missing.remove(&id);
            } else {
                freed += here.as_ref().map_or(1, blocks_for);
                stale.push((at, id));
            }
        }
        let mut missing: Vec<(usize, &Target)> = missing.into_values().collect();
        missing.sort_by_key(|(nth, _)| *nth);
        let missing = missing.into_iter().map(|(_, target)| target).collect();
        TargetPlan { missing, stale, freed }
    }

    /// Removes the stale records of a plan.
    pub(crate) fn remove_stale_targets(&self, plan: &TargetPlan<'_>) {
        if !plan.stale.is_empty() || !plan.missing.is_empty() {
            self.targets_changed();
        }
        plan.stale.iter().for_each(|(at, id)| self.remove(id.0, *at));
    }

    /// Adds the missing records of a plan.
    pub(crate) fn apply_targets(&self, plan: TargetPlan<'_>) -> Result<(), ZoneFull> {
        let add = |target: &&Target| self.write_target(target, self.next_session(), None, self.reserve());
        plan.missing.iter().try_for_each(add)
    }

    /// Keeps the new record of a target that was being replaced when a worker died with the lock.
    pub(crate) fn repair_targets(&self) {
        let all = self.visible_targets().map(|(at, block)| (block.word(ID), block.word(CHANGED), at));
        let mut all: Vec<(u64, u64, Index)> = all.collect();
        all.sort_unstable();
        for pair in all.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.remove(pair[0].0, pair[0].2);
        }
        // It is unknown whether the dead worker has raised the generation.
        self.targets_changed();
    }

    fn targets_changed(&self) {
        self.zone.root.targets.fetch_add(1, Relaxed);
    }

    fn visible_targets(&self) -> impl Iterator<Item = (Index, &Block)> {
        self.records(BlockKind::Target).filter(|(_, block)| block.word(SHAPE) & PENDING == 0)
    }

    fn find_target(&self, id: TargetId, pending: bool) -> Option<(Index, &Block)> {
        self.chain(id.0).find(|(_, block)| {
            block.kind() == BlockKind::Target
                && block.word(ID) == id.0
                && (block.word(SHAPE) & PENDING != 0) == pending
        })
    }

    fn write_target(
        &self,
        target: &Target,
        order: u64,
        pending: Option<u32>,
        keep_free: usize,
    ) -> Result<(), ZoneFull> {
        let pending = pending.map_or(0, |pid| PENDING | u64::from(pid) << PID_FROM);
        self.insert(BlockKind::Target, target.id.0, &text(target), keep_free, |block| {
            block.set(ID, target.id.0);
            block.set(ORDER, order);
            block.set(SHAPE, shape(target) | pending);
            block.set(CHANGED, self.zone.targets_generation() + 1);
        })?;
        Ok(())
    }

    pub(crate) fn read_target(&self, block: &Block) -> Option<Target> {
        let shape = block.word(SHAPE);
        let [app, stream, note] = [0, 8, 16].map(|shift| (shape >> shift & 0xff) as usize);
        let url = (shape & LENGTHS) >> URL_FROM;
        let end = app + stream + note + url as usize;
        let limit = if shape & LIMITED == 0 { 0 } else { MAX_SERVER_LEN };
        let text = self.text(block, end + limit);
        let (text, limit) = text.split_at_checked(end)?;
        // The text extends to the end of the blocks; zeros fill the last block.
        let limit = limit.split(|byte| *byte == 0).next().unwrap_or_default();
        let (app, rest) = text.split_at_checked(app)?;
        let (stream, rest) = rest.split_at_checked(stream)?;
        let (note, url) = rest.split_at_checked(note)?;
        Some(Target {
            id: TargetId(block.word(ID)),
            app: AppName::parse(app).ok()?,
            stream: str::from_utf8(stream).ok()?.parse().ok()?,
            server: str::from_utf8(limit).ok().and_then(|limit| limit.parse().ok()),
            url: TargetUrl::parse(str::from_utf8(url).ok()?).ok()?,
            enabled: shape & ENABLED != 0,
            note: String::from_utf8_lossy(note).into_owned(),
            source: TargetSource::Api,
        })
    }
}

pub(crate) fn blocks_for(target: &Target) -> usize {
    BlockKind::Target.blocks_for(text(target).len())
}

fn text(target: &Target) -> Vec<u8> {
    parts(target).concat()
}

/// `weir_model` has checked the lengths: one byte each, and 12 bits for the URL.
fn parts(target: &Target) -> [&[u8]; 5] {
    let server = target.server.as_ref().map_or("", ServerAddr::as_str);
    [target.app.as_str(), target.stream.as_str(), &target.note, target.url.expose(), server]
        .map(str::as_bytes)
}

fn shape(target: &Target) -> u64 {
    let [app, stream, note, url, server] = parts(target).map(|part| part.len() as u64);
    let enabled = if target.enabled { ENABLED } else { 0 };
    let limited = if server > 0 { LIMITED } else { 0 };
    limited | (app & 0xff | (stream & 0xff) << 8 | (note & 0xff) << 16 | url << URL_FROM) & LENGTHS | enabled
}

pub(crate) fn target_hash(block: &Block) -> u64 {
    block.word(ID)
}

pub(crate) fn pending_pid(block: &Block) -> Option<u32> {
    (block.word(SHAPE) & PENDING != 0).then_some((block.word(SHAPE) >> PID_FROM) as u32)
}
