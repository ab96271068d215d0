//! `/v1/streams`: what is live, in every worker.

use serde_json::{Value, json};
use weir_model::{api::ApiError, verdict::Credential};
use weir_zone::LiveStream;

use super::{Answer, Call, answer};
use crate::ffi::process;

pub(super) fn list(call: &Call<'_>) -> Answer {
    let streams: Vec<Value> = live(call).iter().map(view).collect();
    answer(200, &json!({ "streams": streams }))
}

pub(super) fn show(call: &Call<'_>, app: &str, name: &str) -> Answer {
    let streams = live(call);
    let found = streams.iter().find(|stream| stream.app == app && stream.name == name);
    let found = found.ok_or_else(|| ApiError::not_found(format!("no stream \"{app}/{name}\" is live")))?;
    answer(200, &view(found))
}

fn live(call: &Call<'_>) -> Vec<LiveStream> {
    call.runtime.zone.lock(process::pid()).streams(process::census())
}

fn view(stream: &LiveStream) -> Value {
    let key_id = match stream.credential {
        Credential::Key(id) => Some(id),
        _ => None,
    };
    json!({
        "app": stream.app,
        "name": stream.name,
        "session": format!("s{:x}", stream.id.session()),
        "since": stream.since,
        "publisher": { "addr": stream.addr, "key_id": key_id, "worker_pid": stream.worker_pid },
        "bytes_in": stream.bytes_in,
    })
}
