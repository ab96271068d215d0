//! The JSON API: who may ask, and who answers.
//!
//! One file a resource. A handler decides from memory and answers at once, or hands the part that may block
//! to the thread pool and answers when that is done.

mod applications;
pub mod events;
mod health;
mod keys;
mod list;
mod state;
mod streams;
mod targets;
mod tokens;

pub use ngx_rtmp::request::{Response, Step};
use ngx_rtmp::{conf::ServerName, request};
use weir_model::{
    ClientAddr, Digest,
    api::{
        ApiError,
        route::{self, Found, NotFound, Route},
    },
    origin::{self, Foreign},
};

use crate::{
    runtime::{self, Runtime},
    state::Outcome,
    weir::Weir,
};
use std::rc::Rc;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// What a request says, apart from its body.
pub type Head<'r> = request::Head<'r, Weir>;

/// An answer in JSON.
fn json(status: u16, body: &impl serde::Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => Response { status, content_type: "application/json", headers: Vec::new(), body },
        Err(error) => {
            json(500, &serde_json::json!({"error": {"code": "internal", "message": error.to_string()}}))
        }
    }
}

/// The answer to a change: `body`, an object, with a `warning` where there is a doubt.
fn changed(status: u16, body: &impl serde::Serialize, outcome: Outcome) -> Response {
    let doubt = match outcome {
        Ok(done) => done.doubt,
        Err(error) => return problem(error),
    };
    let Some(doubt) = doubt else { return json(status, body) };
    let warning = format!("the change is in force, but may be lost if the machine loses power: {doubt}");
    let mut body = serde_json::json!(body);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("warning".to_owned(), warning.into());
    }
    json(status, &body)
}

/// The answer that says what is wrong.
#[must_use]
pub fn problem(error: ApiError) -> Response {
    let headers = match error.status {
        401 => vec![("WWW-Authenticate", "Bearer")],
        _ => Vec::new(),
    };
    Response { status: error.status, content_type: "application/json", headers, body: error.to_json() }
}

/// The answer to a body of more than [`MAX_BODY`] bytes.
#[must_use]
pub fn body_too_large() -> Response {
    problem(ApiError::too_large(format!("the body is larger than {MAX_BODY} bytes")))
}

/// Whether a request may be made at all, before its body is read.
pub fn admit(head: &Head<'_>) -> Result<(), Response> {
    match &head.settings.api_token {
        Some(token) => {
            let (scheme, given) =
                head.authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
            if !scheme.eq_ignore_ascii_case("bearer") || Digest::of(given.trim().as_bytes()) != *token {
                let error = ApiError::unauthorized("send the header \"Authorization: Bearer TOKEN\"");
                return Err(problem(error));
            }
        }
        None if !is_local(head) => {
            return Err(problem(ApiError::forbidden(
                "only clients of this machine may use the API: set \"weir_api_token\" to allow others",
            )));
        }
        // A browser on this machine is a client of this machine, whatever page it shows.
        None => own(head)?,
    }
    let changes = !matches!(head.method, "GET" | "HEAD");
    let json = head.content_type.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    // A form on another site can send a request with the admin's cookies, but not with this type.
    if changes && !json {
        let error = ApiError::unsupported_media_type("send the header \"Content-Type: application/json\"");
        return Err(problem(error));
    }
    if head.content_length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(body_too_large());
    }
    Ok(())
}

/// Whether a client of this machine asks.
#[must_use]
pub fn is_local(head: &Head<'_>) -> bool {
    head.client.map_or(ClientAddr::Unix, ClientAddr::Ip).is_local()
}

/// Refuses what a page of another site sends, where it is trusted for where it comes from.
pub fn own(head: &Head<'_>) -> Result<(), Response> {
    let foreign = match foreign(head) {
        Ok(()) => return Ok(()),
        Err(foreign) => foreign,
    };
    let advice = match foreign {
        Foreign::Host(_) => ", or add the name to \"server_name\"",
        Foreign::Origin(_) => "",
    };
    Err(problem(ApiError::forbidden(format!("{foreign}{advice}"))))
}

/// Whether a page of another site sent a request, as far as the headers tell.
fn foreign(head: &Head<'_>) -> Result<(), Foreign> {
    let is_own_name = |host: &str| {
        head.server_names.iter().any(|name| match name {
            ServerName::Text(name) => origin::is_name(name, host),
            ServerName::Pattern(pattern) => head.matches(pattern, host),
        })
    };
    for host in [head.host, head.host_header].into_iter().flatten() {
        origin::check(Some(host), [], is_own_name)?;
    }
    origin::check(head.host, head.origins.iter().copied(), is_own_name)
}

/// A request that was admitted, with what it needs.
struct Call<'c> {
    runtime: Rc<Runtime>,
    head: &'c Head<'c>,
    body: &'c [u8],
}

/// A handler's answer: an error becomes one.
type Answer = Result<Step, ApiError>;

/// Finds the handler and calls it.
pub fn dispatch(head: &Head<'_>, body: &[u8]) -> Step {
    let Some(runtime) = runtime::current() else {
        return Step::Answer(problem(ApiError::not_found("no zone is configured")));
    };
    let call = Call { runtime, head, body };
    route(&call).unwrap_or_else(|error| Step::Answer(problem(error)))
}

fn route(call: &Call<'_>) -> Answer {
    if !call.head.is_text {
        return Err(ApiError::bad_request("the path and the arguments must be UTF-8"));
    }
    let path = path(call.head);
    let found = route::find(call.head.method, &path).map_err(|error| match error {
        NotFound::Path => ApiError::not_found(format!("there is no /{}", call.head.path)),
        NotFound::Method(allowed) => {
            ApiError::method_not_allowed(format!("{} is not one of {allowed}", call.head.method))
        }
    })?;
    let Found { route, app, name, id } = found;
    match route {
        Route::Health => health::show(call),
        Route::Applications => applications::list(call),
        Route::Ticket => applications::ticket(call),
        Route::Streams => streams::list(call),
        Route::DropStreams => streams::drop_asked(call),
        Route::Players => streams::players(call, app, name),
        Route::DropPlayer => streams::drop_player(call, app, name, id),
        Route::Stream => streams::show(call, app, name),
        Route::DropStream => streams::drop_publisher(call, app, name),
        Route::Viewers => streams::audiences(call),
        Route::ReportViewers => streams::report_viewers(call),
        Route::Events => events::follow(call),
        Route::Keys => keys::list(call),
        Route::AddKey => keys::create(call),
        Route::RevokeKey => keys::revoke(call, id),
        Route::RotateKey => keys::rotate(call, id),
        Route::Targets => targets::list(call),
        Route::AddTarget => targets::create(call),
        Route::Target => targets::show(call, id),
        Route::ChangeTarget => targets::change(call, id),
        Route::RemoveTarget => targets::remove(call, id),
        Route::SaveState => state::save(call),
        Route::MintToken => tokens::mint(call),
        Route::Links => tokens::links(call),
        Route::RevokeTokens => tokens::revoke(call),
        Route::Revocations => tokens::revocations(call),
    }
}

/// The parts of the path. Those of a stream are as the client wrote them: any byte may be in a name.
fn path<'h>(head: &'h Head<'_>) -> Vec<&'h str> {
    let parts: Vec<&str> = head.parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["v1", "streams", _, _, ..] => parts,
        _ => head.path.trim_end_matches('/').split('/').collect(),
    }
}

fn answer(status: u16, body: &impl serde::Serialize) -> Answer {
    Ok(Step::Answer(json(status, body)))
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::not_persisted(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
