//! Events of changes that are in force.

use weir_model::{
    StreamKey, Target,
    event::{By, Event, KeyChange, KeyChanged, TargetChange, TargetChanged, TokensRevoked},
    state_file::Change,
    target::PatchTarget,
    token::Revoked,
};
use weir_zone::{Locked, Mutex};

use crate::process;

/// Writes the event of a change that the program `by` requested.
pub(super) fn announce<M: Mutex>(zone: &Locked<'_, '_, M>, change: &Change, by: By) {
    let now = process::now();
    let event = match change {
        Change::AddKey(key) => of_key(key, KeyChange::Added, by, None),
        Change::PutKey { was: None, key } => of_key(key, KeyChange::Added, by, None),
        Change::PutKey { key, .. } => of_key(key, KeyChange::Rotated, by, None),
        Change::RotateKey { id, previous_expires_at, .. } => {
            let Some(key) = zone.stream_key(*id) else { return };
            // The change was requested some milliseconds ago.
            let overlap_s = previous_expires_at.millis_since(now).div_ceil(1000);
            of_key(&key, KeyChange::Rotated, by, Some(overlap_s))
        }
        Change::RevokeKey(id) => {
            let (by, change, id) = (Some(by), KeyChange::Revoked, *id);
            Event::KeyChanged(KeyChanged { app: None, by, change, id, name: None, overlap_s: None })
        }
        Change::AddTarget(target) => of_target(target, TargetChange::Added, by),
        Change::PutTarget { was: None, target } => of_target(target, TargetChange::Added, by),
        Change::PutTarget { was: Some(was), target } => {
            let enabled = (was.enabled != target.enabled).then_some(target.enabled);
            of_target(target, changed(enabled), by)
        }
        Change::ChangeTarget { id, patch: PatchTarget { enabled, .. } } => {
            let Some(target) = zone.target(*id) else { return };
            of_target(&target, changed(*enabled), by)
        }
        Change::RemoveTarget(id) => {
            let (change, id) = (TargetChange::Removed, *id);
            Event::TargetChanged(TargetChanged { app: None, by, change, id, stream: None })
        }
        Change::RevokeTokens(revocation) => {
            let (jti, sub) = match &revocation.what {
                Revoked::Token(id) => (Some(id.to_string()), None),
                Revoked::Streams(subject) => (None, Some(subject.to_string())),
            };
            Event::TokenRevoked(TokensRevoked { by, jti, sub })
        }
        Change::Mark(_) | Change::Hold(_) => return,
    };
    zone.push_event(&event, now);
}

fn of_key(key: &StreamKey, change: KeyChange, by: By, overlap_s: Option<u64>) -> Event {
    let (app, name) = (Some(key.app.to_string()), Some(key.stream.to_string()));
    Event::KeyChanged(KeyChanged { app, by: Some(by), change, id: key.id, name, overlap_s })
}

fn of_target(target: &Target, change: TargetChange, by: By) -> Event {
    let (app, stream) = (Some(target.app.to_string()), Some(target.stream.to_string()));
    Event::TargetChanged(TargetChanged { app, by, change, id: target.id, stream })
}

/// Returns the kind of a change; `enabled` is the new state if the change sets it.
fn changed(enabled: Option<bool>) -> TargetChange {
    match enabled {
        Some(true) => TargetChange::Resumed,
        Some(false) => TargetChange::Paused,
        None => TargetChange::Changed,
    }
}
