//! `/v1/applications`, and the ticket of the daemon's own players: facts about this nginx for clients.

use serde_json::json;
use weir_model::{ServerAddr, api::ApiError, verdict::Policy};

use super::call::{Answer, Call, answer};
use crate::runtime::Runtime;

/// Lists the applications of all `server` blocks, each once, by name. If several have one name, the result has the settings of the
/// application that uses keys, of the one that pushes, and of the one that requires tokens from players.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let view = |name: &String| {
        let facts = || call.runtime.application_facts.iter().filter(|facts| facts.name == *name);
        let asks = |wanted: Policy| facts().any(|facts| facts.publish == wanted);
        let publish = match (asks(Policy::Key), asks(Policy::Open)) {
            (true, _) => "key",
            (false, true) => "open",
            (false, false) => "off",
        };
        let over_http = |app: &Option<String>| app.as_ref().is_none_or(|app| app == name);
        let token = |is_needed: bool| if is_needed { "token" } else { "off" };
        json!({
            "name": name, "publish": publish, "push": facts().any(|facts| facts.push),
            "play": token(facts().any(|facts| facts.play)),
            "play_http": token(call.runtime.protected_over_http.iter().any(over_http)),
            "hls": facts().any(|facts| facts.hls),
            "rtmp_port": rtmp_port(&call.runtime, name),
        })
    };
    let applications: Vec<_> = names(&call.runtime).iter().map(view).collect();
    answer(200, &json!({ "applications": applications }))
}

/// Returns the port of the first `server` block that has the application; `None` if it has only unix sockets.
pub(super) fn rtmp_port(runtime: &Runtime, app: &str) -> Option<u16> {
    let mut blocks = runtime.servers.iter().filter(|block| block.has_application(app));
    let socket = blocks.find_map(|block| block.server.addresses().iter().find_map(ServerAddr::socket));
    socket.map(|socket| socket.port())
}

/// Returns the ticket with which a player on this machine is not counted.
pub(super) fn ticket(call: &Call<'_>) -> Answer {
    answer(200, &json!({ "ticket": call.runtime.zone().player_ticket().expose() }))
}

/// Returns a 404 for an application that nginx.conf does not have.
pub(super) fn require(runtime: &Runtime, app: &str) -> Result<(), ApiError> {
    let known = names(runtime);
    if known.iter().any(|name| name == app) {
        return Ok(());
    }
    Err(ApiError::not_found(weir_model::api::no_application(app, &known)))
}

/// Returns a 400 for a new key or target of an application that nginx.conf does not have. An nginx without any application has not got its
/// `rtmp` block yet.
pub(super) fn check(runtime: &Runtime, app: &str) -> Result<(), ApiError> {
    if runtime.application_facts.is_empty() {
        return Ok(());
    }
    require(runtime, app).map_err(|error| ApiError::bad_field("app", error.message))
}

/// Returns the names of all applications, each once.
fn names(runtime: &Runtime) -> Vec<String> {
    let mut names: Vec<String> = runtime.application_facts.iter().map(|facts| facts.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}
