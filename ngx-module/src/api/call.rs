//! A request to the API, and the forms of its answers.

use std::rc::Rc;

use ngx_rtmp::request::{self, Response, Step};
use weir_model::{api::ApiError, event::By};

use crate::{runtime::Runtime, state::Outcome, weir::Weir};

/// A request without its body.
pub type Head<'r> = request::Head<'r, Weir>;

/// An admitted request, with the data for its handler.
pub(super) struct Call<'c> {
    pub(super) runtime: Rc<Runtime>,
    pub(super) head: &'c Head<'c>,
    pub(super) body: &'c [u8],
}

impl Call<'_> {
    /// Returns the program that made the request.
    pub(super) fn by(&self) -> By {
        By::of_header(self.head.by)
    }
}

/// A handler's answer. An error becomes an answer too.
pub(super) type Answer = Result<Step, ApiError>;

/// Returns an answer in JSON.
pub(super) fn json(status: u16, body: &impl serde::Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => Response { status, content_type: "application/json", headers: Vec::new(), body },
        Err(error) => {
            json(500, &serde_json::json!({"error": {"code": "internal", "message": error.to_string()}}))
        }
    }
}

/// Returns the answer to a change: the object `body`, with a `warning` if the change may be lost.
pub(super) fn changed(status: u16, body: &impl serde::Serialize, outcome: Outcome) -> Response {
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

/// Returns the answer for an error.
#[must_use]
pub fn problem(error: ApiError) -> Response {
    let body = error.to_json();
    let headers = match (error.status, error.allow) {
        (401, _) => vec![("WWW-Authenticate", "Bearer".into())],
        (_, Some(allow)) => vec![("Allow", allow.into())],
        _ => Vec::new(),
    };
    Response { status: error.status, content_type: "application/json", headers, body }
}

pub(super) fn answer(status: u16, body: &impl serde::Serialize) -> Answer {
    Ok(Step::Answer(json(status, body)))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::not_persisted(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
