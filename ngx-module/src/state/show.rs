//! Makes written changes visible in the zone, or takes pending changes back.

use std::{path::Path, rc::Rc};

use ngx_rtmp::{
    log::{self, Level},
    sessions::Sessions,
    wake,
};
use weir_model::{
    KeyId,
    api::ApiError,
    state_file::{Change, ChangeError},
};
use weir_zone::{Adoption, Locked, Misfit, Mutex, ZoneFull};

use super::{
    change::{Done, Outcome, Unsaved, Wanted, Written},
    news::announce,
};
use crate::{orders, pools, process, runtime::Runtime};

/// Makes the zone show the written content. Returns the outcome of each change.
pub(super) fn show(
    runtime: &Runtime,
    sessions: &mut Sessions<'_>,
    path: &Path,
    wanted: &[Wanted],
    revoked: &Unsaved,
    written: Written,
) -> Vec<Outcome> {
    // If the file's content before the change differs from the zone's, another process has changed the file: another master, or an admin.
    let other = written.before.is_some_and(|before| !runtime.zone().lock(process::pid()).shows(&before));
    let adopted = if other { adopt(runtime, path, &written) } else { None };
    let locked = runtime.zone().lock(process::pid());
    if !is_in_force(runtime, path) {
        wanted.iter().for_each(|wanted| take_back(&locked, wanted));
        let error = ApiError::not_persisted("a reload has put another state file into force: try again");
        return wanted.iter().map(|_| Err(error.clone())).collect();
    }
    let done = Done {
        doubt: written.doubt,
        count: (written.state.keys.len(), written.state.targets.len()),
        set_aside: written.set_aside,
        read: wanted
            .iter()
            .any(|wanted| matches!(wanted, Wanted::Read))
            .then(|| Rc::new((written.shown.content, written.state.body().1))),
    };
    let mut gone = Vec::new();
    let mut outcomes: Vec<Outcome> = written.outcomes.iter().map(|made| outcome_of(*made, &done)).collect();
    if let Some(Ok(ids)) = &adopted {
        gone.clone_from(ids);
        // The adopted content already has the pending changes, so they are taken back.
        wanted.iter().for_each(|wanted| take_back(&locked, wanted));
        forget_revoked(&locked, wanted);
    } else {
        confirm_each(&locked, wanted, &mut outcomes);
        locked.set_shown(&written.shown);
    }
    if let Some(Err(misfit)) = adopted {
        locked.show_nothing();
        locked.set_stamp(written.shown.stamp);
        log::cycle(Level::Critical, format_args!("weir: the state file is not taken over: {misfit}"));
    }
    revoked.keys.iter().for_each(|id| locked.forget_revoked(*id));
    if runtime.zone().has_unsaved_revocations() {
        locked.saved_revocations(&written.state.revocations);
    }
    if runtime.zone().has_unsaved_revocations()
        && locked.revoked_keys().is_empty()
        && locked.unsaved_revocations().is_empty()
    {
        locked.forget_revocations_note();
    }
    for (wanted, outcome) in wanted.iter().zip(&outcomes) {
        if let (Wanted::Change(change, by), Ok(_)) = (wanted, outcome) {
            announce(&locked, change, *by);
        }
    }
    drop(locked);
    pools::discard(written.state);
    orders::drop_publishers(runtime, sessions, &gone.into_iter().collect());
    wake::ring();
    outcomes
}

fn is_in_force(runtime: &Runtime, path: &Path) -> bool {
    runtime.zone().is_state_file(path.as_os_str().as_encoded_bytes())
}

/// Updates the zone from the file, in steps. Other processes may take the zone's lock between two steps. Returns `None` if another file
/// came into force meanwhile.
fn adopt(runtime: &Runtime, path: &Path, written: &Written) -> Option<Result<Vec<KeyId>, Misfit>> {
    let state = &written.state;
    let adoption = Adoption::new(&state.keys, state.targets.clone(), written.shown);
    let mut adoption = adoption.revoking(state.revocations.clone()).holding(state.held);
    loop {
        let locked = runtime.zone().lock(process::pid());
        if !is_in_force(runtime, path) {
            return None;
        }
        let outcome = locked.adopt_some(&mut adoption);
        drop(locked);
        if outcome.is_some() {
            pools::discard(adoption);
            return outcome;
        }
    }
}

fn outcome_of(made: Result<(), ChangeError>, done: &Done) -> Outcome {
    made.map(|()| done.clone()).map_err(|error| {
        let message = format!("the state file does not take the change: {error}");
        match error {
            ChangeError::OtherKey(_) | ChangeError::OtherTarget(_) => ApiError::conflict(message),
            // Another process has removed the key or target of this change.
            ChangeError::UnknownKey(_) | ChangeError::UnknownTarget(_) => ApiError::not_found(message),
            _ => ApiError::not_persisted(message),
        }
    })
}

fn confirm_each<M: Mutex>(zone: &Locked<'_, '_, M>, wanted: &[Wanted], outcomes: &mut [Outcome]) {
    for (wanted, outcome) in wanted.iter().zip(outcomes) {
        match (wanted, &outcome) {
            (Wanted::Change(change, _), Ok(_)) => {
                if let Err(error) = confirm(zone, change) {
                    *outcome = Err(error);
                }
            }
            (wanted, Err(_)) => take_back(zone, wanted),
            (Wanted::Save | Wanted::Revocations | Wanted::Read, Ok(_)) => {}
        }
    }
}

fn forget_revoked<M: Mutex>(zone: &Locked<'_, '_, M>, wanted: &[Wanted]) {
    for wanted in wanted {
        if let Wanted::Change(change, _) = wanted
            && let Change::RevokeKey(id) = **change
        {
            zone.forget_revoked(id);
        }
    }
}

pub(super) fn confirm<M: Mutex>(zone: &Locked<'_, '_, M>, change: &Change) -> Result<(), ApiError> {
    match change {
        Change::AddKey(key) => key.secrets.iter().for_each(|secret| zone.confirm_secret(&secret.digest)),
        Change::RevokeKey(id) => {
            // A new secret of the key may have come into force since the revocation.
            zone.revoke_key(*id);
            zone.forget_revoked(*id);
        }
        Change::RotateKey { id, secret, .. } if zone.revoked_keys().contains(id) => {
            zone.forget_secret(&secret.digest);
            return Err(revoked_meanwhile(*id));
        }
        Change::PutKey { key, .. } if zone.revoked_keys().contains(&key.id) => {
            key.secrets.iter().for_each(|secret| zone.forget_secret(&secret.digest));
            return Err(revoked_meanwhile(key.id));
        }
        Change::RotateKey { id, secret, previous_expires_at } => {
            zone.retire_secret(*id, *previous_expires_at);
            zone.confirm_secret(&secret.digest);
        }
        Change::AddTarget(target) => zone.confirm_target(target.id),
        Change::ChangeTarget { id, patch } => {
            // The pending copy only reserved memory in the zone.
            zone.forget_target(*id);
            if let Some(mut target) = zone.target(*id)
                && patch.apply(&mut target)
            {
                let full = |error: ZoneFull| {
                    ApiError::zone_full(format!("the change is written, and not in force: {error}"))
                };
                zone.replace_target(&target).map_err(full)?;
            }
        }
        Change::RemoveTarget(id) => {
            zone.remove_target(*id);
        }
        Change::PutKey { key, .. } => zone.replace_key(key),
        Change::PutTarget { was: None, target } => zone.confirm_target(target.id),
        Change::PutTarget { target, .. } => {
            // The pending copy only reserved memory in the zone.
            zone.forget_target(target.id);
            zone.replace_target(target).map_err(|error| {
                ApiError::zone_full(format!("the change is written, and not in force: {error}"))
            })?;
        }
        Change::Hold(held) => zone.hold_pushes(*held),
        // Revocations are in force since their request; the mark is only for the file.
        Change::RevokeTokens(_) | Change::Mark(_) => {}
    }
    Ok(())
}

/// Returns the error for a change of a revoked key. A revocation is never undone, not even by a change that was requested before it.
fn revoked_meanwhile(id: KeyId) -> ApiError {
    ApiError::not_found(format!("no key {id}: it was revoked meanwhile"))
}

/// Takes back the pending parts of a change. A revocation is not taken back: the key or the tokens stay invalid in the zone.
pub(super) fn take_back<M: Mutex>(zone: &Locked<'_, '_, M>, wanted: &Wanted) {
    let Wanted::Change(change, _) = wanted else { return };
    match &**change {
        Change::AddKey(key) => key.secrets.iter().for_each(|secret| zone.forget_secret(&secret.digest)),
        Change::RotateKey { secret, .. } => zone.forget_secret(&secret.digest),
        Change::AddTarget(target) => zone.forget_target(target.id),
        Change::ChangeTarget { id, .. } => zone.forget_target(*id),
        Change::PutKey { key, .. } => {
            key.secrets.iter().for_each(|secret| zone.forget_secret(&secret.digest));
        }
        Change::PutTarget { target, .. } => zone.forget_target(target.id),
        Change::RevokeKey(_)
        | Change::RemoveTarget(_)
        | Change::RevokeTokens(_)
        | Change::Mark(_)
        | Change::Hold(_) => {}
    }
}
