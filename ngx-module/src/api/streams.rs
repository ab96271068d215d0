//! `/v1/streams`: what is live, in every worker; a publisher or a player is dropped, whichever worker has it.

use serde_json::json;
use weir_model::{api::ApiError, snapshot::StreamSnapshot, verdict::Credential};

use super::{Answer, Call, answer};
use crate::{ffi::process, snapshot, worker};

/// The longest ban, in seconds: one day.
const MAX_BAN_S: u64 = 86_400;

pub(super) fn list(call: &Call<'_>) -> Answer {
    answer(200, &json!({ "streams": snapshot::streams(&call.runtime) }))
}

pub(super) fn show(call: &Call<'_>, app: &str, name: &str) -> Answer {
    answer(200, &find(call, app, name)?)
}

pub(super) fn players(call: &Call<'_>, app: &str, name: &str) -> Answer {
    answer(200, &json!({ "players": find(call, app, name)?.players }))
}

/// Drops a publisher; with `?ban_s=60` its key opens nothing for so long.
pub(super) fn drop_publisher(call: &Call<'_>, app: &str, name: &str) -> Answer {
    let ban_s = ban_seconds(call.head.query)?;
    let zone = call.runtime.zone.lock(process::pid());
    let stream = zone.stream(app, name, process::alive).ok_or_else(|| not_live(app, name))?;
    let until = process::now().plus_seconds(ban_s);
    let banned = match stream.credential {
        Credential::Key(id) if ban_s > 0 => {
            zone.ban_key(id, until);
            Some(until)
        }
        _ if ban_s > 0 => {
            return Err(ApiError::conflict("no key opened this stream: only a key can be banned"));
        }
        _ => None,
    };
    let dropped = u64::from(zone.order_close(stream.id));
    drop(zone);
    worker::follow_orders(&call.runtime);
    answer(200, &json!({ "dropped": dropped, "banned_until": banned }))
}

pub(super) fn drop_player(call: &Call<'_>, app: &str, name: &str, id: &str) -> Answer {
    let session = snapshot::parse_number(id);
    let found =
        session.is_some_and(|session| call.runtime.zone.lock(process::pid()).order_drop(app, name, session));
    if !found {
        return Err(ApiError::not_found(format!("no player \"{id}\" plays \"{app}/{name}\"")));
    }
    worker::follow_orders(&call.runtime);
    answer(200, &json!({ "dropped": 1 }))
}

fn find(call: &Call<'_>, app: &str, name: &str) -> Result<StreamSnapshot, ApiError> {
    let mut streams = snapshot::streams(&call.runtime).into_iter();
    streams.find(|stream| stream.app == app && stream.name == name).ok_or_else(|| not_live(app, name))
}

fn not_live(app: &str, name: &str) -> ApiError {
    ApiError::not_found(format!("no stream \"{app}/{name}\" is live"))
}

fn ban_seconds(query: &str) -> Result<u64, ApiError> {
    let mut ban_s = 0;
    for argument in query.split('&').filter(|argument| !argument.is_empty()) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        if name != "ban_s" {
            return Err(ApiError::bad_request(format!("unknown argument \"{name}\", known is ban_s")));
        }
        ban_s = value.parse().ok().filter(|ban_s| *ban_s <= MAX_BAN_S).ok_or_else(|| {
            ApiError::bad_request(format!("argument \"ban_s\": expected seconds from 0 to {MAX_BAN_S}"))
        })?;
    }
    Ok(ban_s)
}
