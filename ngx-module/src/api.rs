//! The JSON API: routing and access.
//!
//! There is one file per resource. A handler decides from memory and answers immediately, or passes the blocking part to the thread pool
//! and answers afterwards.

pub mod access;
mod applications;
pub mod call;
pub mod events;
mod health;
mod keys;
mod list;
mod pushes;
mod replica;
mod state;
mod streams;
mod targets;
mod tokens;

use ngx_rtmp::{request::Step, sessions::Sessions};
use weir_model::api::{
    ApiError,
    route::{self, Found, NotFound, Route},
};

use crate::runtime;
use call::{Answer, Call, Head, problem};

/// Finds the handler of a request and calls it.
pub fn dispatch(head: &Head<'_>, body: &[u8], sessions: &mut Sessions<'_>) -> Step {
    let Some(runtime) = runtime::current() else {
        return Step::Answer(problem(ApiError::not_found("no zone is configured")));
    };
    let call = Call { runtime, head, body };
    route(&call, sessions).unwrap_or_else(|error| Step::Answer(problem(error)))
}

fn route(call: &Call<'_>, sessions: &mut Sessions<'_>) -> Answer {
    if !call.head.is_text {
        return Err(ApiError::bad_request("the path and the arguments must be UTF-8"));
    }
    let path = path(call.head);
    let found = route::find(call.head.method, &path).map_err(|error| match error {
        NotFound::Path => ApiError::not_found(format!("there is no /{}", call.head.path)),
        NotFound::Method(allowed) => ApiError::no_method(call.head.method, &allowed),
    })?;
    let Found { route, app, name, id } = found;
    // Programs add arguments to a GET so that no cache answers it.
    if !route.has_arguments() && !matches!(call.head.method, "GET" | "HEAD") {
        refuse_arguments(call.head.query)?;
    }
    match route {
        Route::Health => health::show(call),
        Route::Applications => applications::list(call),
        Route::Ticket => applications::ticket(call),
        Route::Streams => streams::list(call),
        Route::DropStreams => streams::drop_asked(call, sessions),
        Route::Players => streams::players(call, app, name),
        Route::DropPlayer => streams::drop_player(call, sessions, app, name, id),
        Route::Stream => streams::show(call, app, name),
        Route::DropStream => streams::drop_publisher(call, sessions, app, name),
        Route::Viewers => streams::audiences(call),
        Route::ReportViewers => streams::report_viewers(call),
        Route::Events => events::follow(call),
        Route::Keys => keys::list(call),
        Route::AddKey => keys::create(call),
        Route::RevokeKey => keys::revoke(call, sessions, id),
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
        Route::Pushes => pushes::show(call),
        Route::HoldPushes => pushes::hold(call),
        Route::Replica => replica::show(call),
        Route::PutReplica => replica::put(call, sessions),
    }
}

/// Refuses arguments of a path that has none.
fn refuse_arguments(query: &str) -> Result<(), ApiError> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((unknown, _)) => {
            Err(ApiError::bad_request(format!("unknown argument \"{unknown}\": this path has no arguments")))
        }
        None => Ok(()),
    }
}

/// Returns the parts of the path. The parts of a stream's path are decoded separately, because a stream name may contain any byte.
fn path<'h>(head: &'h Head<'_>) -> Vec<&'h str> {
    let parts: Vec<&str> = head.parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["v1", "streams", _, _, ..] => parts,
        _ => head.path.trim_end_matches('/').split('/').collect(),
    }
}
