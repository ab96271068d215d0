//! `/v1/keys`: stream keys are listed, made, rotated and revoked.

use std::ops::Range;

use ngx_rtmp::sessions::Sessions;
use serde_json::json;
use weir_model::{
    KeyId, KeySource, KeyView, Secret,
    api::ApiError,
    key::{NewKey, RotateKey, StreamKey},
    page::{KeyCursor, Page},
    secret,
    state_file::Change,
};
use weir_zone::{KeyPlace, KeyRecord, Stage, ZoneFull};

use super::{
    call::{Answer, Call, changed, random},
    list::{self, AT_ONCE},
};
use crate::{orders, process, runtime, state};

pub(super) fn list(call: &Call<'_>) -> Answer {
    let page = Page::parse(call.head.query)?;
    let wrong = |error| ApiError::bad_request(format!("argument \"after\": {error}"));
    let after = page.after.map(str::parse::<KeyCursor>).transpose().map_err(wrong)?;
    let mut places = match after {
        None => call.runtime.zone().lock(process::pid()).key_places(None),
        Some(KeyCursor::Api(created_at, id)) => {
            call.runtime.zone().lock(process::pid()).key_places(Some((created_at, id)))
        }
        Some(KeyCursor::File(_)) => Vec::new(),
    };
    let all = call.runtime.file_keys.len();
    let mut files = match after {
        Some(KeyCursor::File(count)) => count.min(all)..all,
        _ => 0..all,
    };
    let limit = page.limit.unwrap_or(usize::MAX);
    let is_cut = places.len() + files.len() > limit;
    places.truncate(limit);
    files.end = files.end.min(files.start.saturating_add(limit - places.len()));
    let next = match places.last().filter(|_| files.is_empty()).map(KeyPlace::order) {
        Some((created_at, id)) => KeyCursor::Api(created_at, id),
        None => KeyCursor::File(files.end),
    };
    let end = match (page.limit, is_cut) {
        (None, _) => String::new(),
        (Some(_), true) => format!(",\"next\":\"{next}\""),
        (Some(_), false) => ",\"next\":null".to_owned(),
    };
    let is_short = places.len() + files.len() <= AT_ONCE;
    Ok(list::step("keys", is_short, parts(places, files), end))
}

/// The keys at these places of the zone, then those of files, some at a time.
fn parts(places: Vec<KeyPlace>, mut files: Range<usize>) -> impl FnMut() -> Option<Vec<KeyView>> {
    let mut done = 0;
    move || {
        let (runtime, now) = (runtime::current()?, process::now());
        let part = &places[done..places.len().min(done + AT_ONCE)];
        done += part.len();
        if !part.is_empty() {
            let keys = runtime.zone().lock(process::pid()).keys_at(part);
            return Some(keys.iter().map(|key| KeyView::new(key, KeySource::Api, now)).collect());
        }
        let part = files.start..files.end.min(files.start + AT_ONCE);
        files.start = part.end;
        let keys = runtime.file_keys.get(part).filter(|part| !part.is_empty())?;
        Some(keys.iter().map(|key| KeyView::new(key, KeySource::File, now)).collect())
    }
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

pub(super) fn revoke(call: &Call<'_>, sessions: &mut Sessions<'_>, id: &str) -> Answer {
    let key = find(call, id)?.id;
    call.runtime.zone().lock(process::pid()).revoke_key(key);
    let dropped = orders::drop_publishers(&call.runtime, sessions, &[key].into());
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
    call.runtime.zone().lock(process::pid()).stream_key(id).ok_or_else(unknown)
}

/// Puts the secrets of a key into the zone, where they open nothing yet.
fn pend(call: &Call<'_>, key: &StreamKey) -> Result<(), ApiError> {
    let zone = call.runtime.zone().lock(process::pid());
    for record in KeyRecord::of(key, Stage::Pending { pid: process::pid() }) {
        zone.insert_key(&record).map_err(|error: ZoneFull| ApiError::zone_full(error.to_string()))?;
    }
    Ok(())
}

fn new_secret() -> Result<Secret, ApiError> {
    random::<20>().map(secret::stream_key)
}
