//! `/v1/replica`: the data that the nodes of a pair share, only for their daemons. It contains hashes of keys and complete URLs of targets,
//! so it has a token of its own (`weir_pair_secret`).

use ngx_rtmp::{request::Response, sessions::Sessions};
use serde_json::json;
use weir_model::{
    Digest, KeyId, StreamKey, Target, Timestamp, api::ApiError, event::By, replica::Put, state_file::Change,
    token::Revocation,
};
use weir_zone::{KeyRecord, Stage, ZoneFull};

use super::call::{Answer, Call, answer, changed, problem};
use crate::{orders, process, runtime, state};

/// Returns the state. With `?not=TAG`, the answer is short if nothing has changed since.
pub(super) fn show(call: &Call<'_>) -> Answer {
    if call.runtime.state_path.is_none() {
        return Err(ApiError::conflict(
            "a pair needs a state file: add \"state=FILE\" to \"weir_zone\" of nginx.conf",
        ));
    }
    let known = call.head.query.strip_prefix("not=").and_then(|tag| tag.split_once('-'));
    let bans = call.runtime.zone().lock(process::pid()).bans(process::now());
    if let Some((content, rest)) = known
        && rest == rest_of(&bans)
        && let Ok(content) = Digest::parse(content.as_bytes())
        && call.runtime.zone().lock(process::pid()).shows(&content)
    {
        return answer(200, &json!({ "tag": tag(&content, &bans) }));
    }
    Ok(state::read(|outcome| match outcome {
        Ok(done) => done.read.map_or_else(not_read, |read| whole(&read.0, &read.1)),
        Err(error) => problem(error),
    }))
}

fn not_read() -> Response {
    problem(ApiError::not_persisted("the state file was not read"))
}

fn whole(content: &Digest, state: &str) -> Response {
    let Some(runtime) = runtime::current() else { return not_read() };
    let bans = runtime.zone().lock(process::pid()).bans(process::now());
    let rows: Vec<_> = bans.iter().map(|(key, until)| json!({ "key": key, "until": until })).collect();
    let body = format!(
        "{{\"tag\":\"{}\",\"bans\":{},\"state\":{state}}}",
        tag(content, &bans),
        serde_json::Value::from(rows)
    );
    Response { status: 200, content_type: "application/json", headers: Vec::new(), body }
}

/// Returns a tag that differs for every state.
fn tag(content: &Digest, bans: &[(KeyId, Timestamp)]) -> String {
    format!("{}-{}", content.to_hex(), rest_of(bans))
}

fn rest_of(bans: &[(KeyId, Timestamp)]) -> String {
    let text: String = bans.iter().map(|(key, until)| format!("{key} {}\n", until.as_millis())).collect();
    Digest::of(text.as_bytes()).to_hex().chars().take(16).collect()
}

pub(super) fn put(call: &Call<'_>, sessions: &mut Sessions<'_>) -> Answer {
    let change = match Put::from_json(call.body)? {
        Put::Key { was, is } => return put_key(call, was, is),
        Put::Target { was, is } => return put_target(call, was, is),
        Put::Revocation(revocation) => revoke(call, revocation)?,
        Put::Ban { key, until } => {
            call.runtime.zone().lock(process::pid()).ban_key(key, until);
            let dropped = orders::drop_publishers(&call.runtime, sessions, &[key].into());
            return answer(200, &json!({ "dropped": dropped }));
        }
        Put::Mark(mark) => Change::Mark(mark),
    };
    Ok(state::persist(&call.runtime, By::Pair, change, |outcome| changed(200, &json!({}), outcome)))
}

fn put_key(call: &Call<'_>, was: Option<StreamKey>, is: StreamKey) -> Answer {
    let zone = call.runtime.zone().lock(process::pid());
    if zone.revoked_keys().contains(&is.id) {
        return Err(ApiError::not_found(format!("key \"{}\" is revoked", is.id)));
    }
    for record in KeyRecord::of(&is, Stage::Pending { pid: process::pid() }) {
        if let Err(error) = zone.insert_key(&record) {
            // If the key does not fit completely, none of its secrets stays in the zone.
            is.secrets.iter().for_each(|secret| zone.forget_secret(&secret.digest));
            return Err(full(error));
        }
    }
    drop(zone);
    let change = Change::PutKey { was: was.map(Box::new), key: Box::new(is) };
    Ok(state::persist(&call.runtime, By::Pair, change, |outcome| changed(200, &json!({}), outcome)))
}

fn put_target(call: &Call<'_>, was: Option<Target>, is: Target) -> Answer {
    let moves = was.as_ref().is_none_or(|was| was.url != is.url);
    let of_configuration = call.runtime.file_targets.iter().find(|other| is.repeats(other));
    let zone = call.runtime.zone().lock(process::pid());
    let repeated = of_configuration.map(|other| other.id).or_else(|| zone.repeated_target(&is));
    if let Some(id) = repeated.filter(|_| moves) {
        return Err(ApiError::conflict(format!("target \"{id}\" already pushes this stream to this URL")));
    }
    zone.pend_target(&is, process::pid()).map_err(full)?;
    drop(zone);
    let change = Change::PutTarget { was: was.map(Box::new), target: Box::new(is) };
    Ok(state::persist(&call.runtime, By::Pair, change, |outcome| changed(200, &json!({}), outcome)))
}

fn revoke(call: &Call<'_>, revocation: Revocation) -> Result<Change, ApiError> {
    let revoked = call.runtime.zone().lock(process::pid()).replicate_revocation(&revocation);
    revoked.map_err(|error| ApiError::conflict(error.to_string()))?;
    Ok(Change::RevokeTokens(revocation))
}

fn full(error: ZoneFull) -> ApiError {
    ApiError::zone_full(error.to_string())
}
