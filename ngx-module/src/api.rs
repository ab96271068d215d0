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

pub use list::Pieces;

use weir_model::{
    Digest,
    api::{
        ApiError,
        route::{self, Found, NotFound, Route},
    },
    origin::Foreign,
};

use crate::{
    ffi::request::{Head, Waiting},
    runtime::{self, Runtime},
    state::Outcome,
};
use std::rc::Rc;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// An answer.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: String,
}

/// What comes next for a request.
pub enum Step {
    /// It is answered.
    Answer(Response),
    /// This sees to it that it is answered later.
    Suspend(Box<dyn FnOnce(Waiting)>),
    /// It is answered piece by piece.
    Pieces(Pieces),
    /// It is answered with events from here on, until the client leaves.
    Follow(events::Position),
}

impl Response {
    fn json(status: u16, body: &impl serde::Serialize) -> Response {
        match serde_json::to_string(body) {
            Ok(body) => Response { status, content_type: "application/json", headers: Vec::new(), body },
            Err(error) => Response::json(
                500,
                &serde_json::json!({"error": {"code": "internal", "message": error.to_string()}}),
            ),
        }
    }
}

/// The answer to a change: `body`, an object, with a `warning` where there is a doubt.
fn changed(status: u16, body: &impl serde::Serialize, outcome: Outcome) -> Response {
    let doubt = match outcome {
        Ok(done) => done.doubt,
        Err(error) => return error.into(),
    };
    let Some(doubt) = doubt else { return Response::json(status, body) };
    let warning = format!("the change is in force, but may be lost if the machine loses power: {doubt}");
    let mut body = serde_json::json!(body);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("warning".to_owned(), warning.into());
    }
    Response::json(status, &body)
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Response {
        let headers = match error.status {
            401 => vec![("WWW-Authenticate", "Bearer")],
            _ => Vec::new(),
        };
        Response { status: error.status, content_type: "application/json", headers, body: error.to_json() }
    }
}

/// The answer to a body of more than [`MAX_BODY`] bytes.
#[must_use]
pub fn body_too_large() -> Response {
    ApiError::too_large(format!("the body is larger than {MAX_BODY} bytes")).into()
}

/// Whether a request may be made at all, before its body is read.
pub fn admit(head: &Head<'_>) -> Result<(), Response> {
    match &head.settings.api_token {
        Some(token) => {
            let (scheme, given) =
                head.authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
            if !scheme.eq_ignore_ascii_case("bearer") || Digest::of(given.trim().as_bytes()) != *token {
                return Err(ApiError::unauthorized("send the header \"Authorization: Bearer TOKEN\"").into());
            }
        }
        None if !head.client.is_local() => {
            return Err(ApiError::forbidden(
                "only clients of this machine may use the API: set \"weir_api_token\" to allow others",
            )
            .into());
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
        return Err(
            ApiError::unsupported_media_type("send the header \"Content-Type: application/json\"").into()
        );
    }
    if head.content_length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(body_too_large());
    }
    Ok(())
}

/// Refuses what a page of another site sends, where it is trusted for where it comes from.
pub fn own(head: &Head<'_>) -> Result<(), Response> {
    let advice = match &head.foreign {
        Ok(()) => return Ok(()),
        Err(Foreign::Host(_)) => ", or add the name to \"server_name\"",
        Err(Foreign::Origin(_)) => "",
    };
    let problem = head.foreign.as_ref().err().map(ToString::to_string).unwrap_or_default();
    Err(ApiError::forbidden(format!("{problem}{advice}")).into())
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
        return Step::Answer(ApiError::not_found("no zone is configured").into());
    };
    let call = Call { runtime, head, body };
    route(&call).unwrap_or_else(|error| Step::Answer(error.into()))
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
    Ok(Step::Answer(Response::json(status, body)))
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::not_persisted(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
