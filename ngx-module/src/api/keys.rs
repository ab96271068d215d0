//! `/v1/keys`: stream keys are listed, made, rotated and revoked.

use serde_json::json;
use weir_model::{
    KeyId, KeySource, KeyView, Secret,
    api::ApiError,
    key::{NewKey, RotateKey, StreamKey},
    secret,
    state_file::Change,
};
use weir_zone::{KeyRecord, Stage, ZoneFull};

use super::{Answer, Call, answer, changed, random};
use crate::{ffi::process, hooks, state};

pub(super) fn list(call: &Call<'_>) -> Answer {
    let now = process::now();
    let keys = call.runtime.zone.lock(process::pid()).keys();
    let made = keys.iter().map(|key| KeyView::new(key, KeySource::Api, now));
    let read = call.runtime.file_keys.iter().map(|key| KeyView::new(key, KeySource::File, now));
    answer(200, &json!({ "keys": made.chain(read).collect::<Vec<_>>() }))
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let now = process::now();
    let new = NewKey::from_json(call.body, now)?;
    let known = call.runtime.check_server(new.server.as_ref(), &new.app);
    known.map_err(|error| ApiError::bad_field("server", error))?;
    let secret = new_secret()?;
    let key = new.into_key(KeyId(random::<8>().map(u64::from_le_bytes)?), secret.digest(), now);
    pend(call, &key)?;
    let view = KeyView::new(&key, KeySource::Api, now).with_secret(secret);
    Ok(state::persist(&call.runtime, Change::AddKey(key), move |outcome| changed(201, &view, outcome)))
}

pub(super) fn rotate(call: &Call<'_>, id: &str) -> Answer {
    let now = process::now();
    let wanted = RotateKey::from_json(call.body)?;
    let key = find(call, id)?;
    let secret = new_secret()?;
    let change = Change::rotate(&key, secret.digest(), wanted.overlap_s, now);
    let mut rotated = key;
    if let Change::RotateKey { secret, previous_expires_at, .. } = &change {
        // Only the new secret is pending; the other is in the zone.
        pend(call, &StreamKey { secrets: vec![secret.clone()], ..rotated.clone() })?;
        rotated.rotate(secret.clone(), *previous_expires_at);
    }
    let view = KeyView::new(&rotated, KeySource::Api, now).with_secret(secret);
    Ok(state::persist(&call.runtime, change, move |outcome| changed(200, &view, outcome)))
}

pub(super) fn revoke(call: &Call<'_>, id: &str) -> Answer {
    let key = find(call, id)?.id;
    call.runtime.zone.lock(process::pid()).revoke_key(key);
    let dropped = hooks::drop_publishers(&call.runtime, key);
    Ok(state::persist(&call.runtime, Change::RevokeKey(key), move |outcome| {
        let outcome = outcome.map_err(|error| {
            ApiError::not_persisted(format!("the key is revoked until nginx restarts, but {}", error.message))
        });
        changed(200, &json!({ "id": key, "dropped": dropped }), outcome)
    }))
}

/// A key that the API may change.
fn find(call: &Call<'_>, id: &str) -> Result<StreamKey, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no key \"{id}\""));
    let id: KeyId = id.parse().map_err(|_| unknown())?;
    if call.runtime.is_file_key(id) {
        return Err(ApiError::conflict(format!(
            "key \"{id}\" comes from a \"weir_key_file\": change it there"
        )));
    }
    let keys = call.runtime.zone.lock(process::pid()).keys();
    keys.into_iter().find(|key| key.id == id).ok_or_else(unknown)
}

/// Puts the secrets of a key into the zone, where they open nothing yet.
fn pend(call: &Call<'_>, key: &StreamKey) -> Result<(), ApiError> {
    let zone = call.runtime.zone.lock(process::pid());
    for record in KeyRecord::of(key, Stage::Pending { pid: process::pid() }) {
        zone.insert_key(&record).map_err(|error: ZoneFull| ApiError::zone_full(error.to_string()))?;
    }
    Ok(())
}

fn new_secret() -> Result<Secret, ApiError> {
    random::<20>().map(secret::stream_key)
}
