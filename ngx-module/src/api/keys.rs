//! `/v1/keys`: lists, creates, rotates and revokes stream keys.

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
use weir_zone::{KeyPlace, KeyRecord, KeyWalk, Stage, ZoneFull};

use super::{
    applications,
    call::{Answer, Call, changed, random},
    list::{self, AT_ONCE, Part},
};
use crate::{
    orders, process,
    runtime::{self, Runtime},
    state,
};

/// Steps of a walk over the zone in one turn: at most a millisecond. The lock is free between two steps.
const STEPS: usize = 16;

/// A list of keys that is being made.
struct Listing {
    /// Finds the keys of the zone; runs first.
    walk: Option<KeyWalk>,
    limit: Option<usize>,
    places: Vec<KeyPlace>,
    /// The keys of files, which come after those of the zone.
    files: Range<usize>,
    /// The number of places that are answered.
    done: usize,
    /// The text after the list.
    end: String,
}

pub(super) fn list(call: &Call<'_>) -> Answer {
    let page = Page::parse(call.head.query)?;
    let wrong = |error| ApiError::bad_request(format!("argument \"after\": {error}"));
    let after = page.after.map(str::parse::<KeyCursor>).transpose().map_err(wrong)?;
    let all = call.runtime.file_keys.len();
    // One more key shows whether others follow.
    let most = page.limit.map_or(usize::MAX, |limit| limit + 1);
    let (walk, files) = match after {
        None => (Some(KeyWalk::new(None, most)), 0..all),
        Some(KeyCursor::Api(created_at, id)) => (Some(KeyWalk::new(Some((created_at, id)), most)), 0..all),
        Some(KeyCursor::File(count)) => (None, count.min(all)..all),
    };
    let (places, end) = (Vec::new(), String::new());
    let mut listing = Listing { walk, limit: page.limit, places, files, done: 0, end };
    let is_short = listing.find(&call.runtime) && listing.places.len() + listing.files.len() <= AT_ONCE;
    Ok(list::step("keys", is_short, move || listing.part()))
}

impl Listing {
    /// Continues the walk. Returns whether the walk is complete.
    fn find(&mut self, runtime: &Runtime) -> bool {
        if let Some(walk) = &mut self.walk {
            let zone = runtime.zone();
            if !(0..STEPS).any(|_| zone.lock(process::pid()).walk_keys(walk)) {
                return false;
            }
            self.places = self.walk.take().map(KeyWalk::places).unwrap_or_default();
        }
        self.cut();
        true
    }

    /// Limits the list to one answer, and names the next page.
    fn cut(&mut self) {
        let Some(limit) = self.limit.take() else { return };
        let is_cut = self.places.len() + self.files.len() > limit;
        self.places.truncate(limit);
        self.files.end = self.files.end.min(self.files.start.saturating_add(limit - self.places.len()));
        let next = match self.places.last().filter(|_| self.files.is_empty()) {
            Some((created_at, id)) => KeyCursor::Api(*created_at, *id),
            None => KeyCursor::File(self.files.end),
        };
        self.end = if is_cut { format!(",\"next\":\"{next}\"") } else { ",\"next\":null".to_owned() };
    }

    /// Returns the next keys: first those of the zone, then those of files.
    fn part(&mut self) -> Part<KeyView> {
        let Some(runtime) = runtime::current() else { return Part::End(String::new()) };
        let now = process::now();
        if self.walk.is_some() {
            self.find(&runtime);
            return Part::Rows(Vec::new());
        }
        let part = &self.places[self.done..self.places.len().min(self.done + AT_ONCE)];
        self.done += part.len();
        if !part.is_empty() {
            let keys = runtime.zone().lock(process::pid()).keys_at(part);
            return Part::Rows(keys.iter().map(|key| KeyView::new(key, KeySource::Api, now)).collect());
        }
        let part = self.files.start..self.files.end.min(self.files.start + AT_ONCE);
        self.files.start = part.end;
        match runtime.file_keys.get(part).filter(|part| !part.is_empty()) {
            Some(keys) => {
                Part::Rows(keys.iter().map(|key| KeyView::new(key, KeySource::File, now)).collect())
            }
            None => Part::End(std::mem::take(&mut self.end)),
        }
    }
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let now = process::now();
    let new = NewKey::from_json(call.body, now)?;
    applications::check(&call.runtime, new.app.as_str())?;
    let known = call.runtime.check_server(new.server.as_ref(), &new.app);
    known.map_err(|error| ApiError::bad_field("server", error))?;
    let secret = new_secret()?;
    let key = new.into_key(KeyId(random::<8>().map(u64::from_le_bytes)?), secret.digest(), now);
    pend(call, &key)?;
    let view = KeyView::new(&key, KeySource::Api, now).with_secret(secret);
    Ok(state::persist(&call.runtime, call.by(), Change::AddKey(key), move |outcome| {
        changed(201, &view, outcome)
    }))
}

pub(super) fn rotate(call: &Call<'_>, id: &str) -> Answer {
    let now = process::now();
    let wanted = RotateKey::from_json(call.body)?;
    let key = find(call, id)?;
    let secret = new_secret()?;
    let change = Change::rotate(&key, secret.digest(), wanted.overlap_s, now);
    let mut rotated = key;
    if let Change::RotateKey { secret, previous_expires_at, .. } = &change {
        // Only the new secret is pending; the zone already has the other.
        pend(call, &StreamKey { secrets: vec![secret.clone()], ..rotated.clone() })?;
        rotated.rotate(secret.clone(), *previous_expires_at);
    }
    let view = KeyView::new(&rotated, KeySource::Api, now).with_secret(secret);
    Ok(state::persist(&call.runtime, call.by(), change, move |outcome| changed(200, &view, outcome)))
}

pub(super) fn revoke(call: &Call<'_>, sessions: &mut Sessions<'_>, id: &str) -> Answer {
    let key = find(call, id)?.id;
    call.runtime.zone().lock(process::pid()).revoke_key(key);
    let dropped = orders::drop_publishers(&call.runtime, sessions, &[key].into());
    Ok(state::persist(&call.runtime, call.by(), Change::RevokeKey(key), move |outcome| {
        let outcome = outcome.map_err(|error| {
            ApiError::not_persisted(format!("the key is revoked until nginx restarts, but {}", error.message))
        });
        changed(200, &json!({ "id": key, "dropped": dropped }), outcome)
    }))
}

/// Returns a key that the API may change.
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

/// Adds the secrets of a key to the zone as pending; they authorise nothing yet.
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
