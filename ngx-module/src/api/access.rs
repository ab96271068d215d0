//! Access to the API.

use ngx_rtmp::{conf::ServerName, request::Response};
use weir_model::{
    ClientAddr, Digest,
    api::ApiError,
    origin::{self, Foreign},
};

use super::call::{Head, problem};
use crate::runtime;

/// The route that has a token of its own.
const REPLICA: &str = "v1/replica";

/// Longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Returns the answer to a body of more than [`MAX_BODY`] bytes.
#[must_use]
pub fn body_too_large() -> Response {
    problem(ApiError::too_large(format!("the body is larger than {MAX_BODY} bytes")))
}

/// Decides whether a request is allowed, before its body is read.
pub fn admit(head: &Head<'_>) -> Result<(), Response> {
    let runtime = runtime::current();
    let replica = runtime.as_ref().filter(|_| head.path.trim_end_matches('/') == REPLICA);
    match (&head.settings.api_token, replica) {
        // This route shows data that no other answer shows, so it needs its own token, even for clients of this machine.
        (_, Some(runtime)) => match &runtime.replica_token {
            Some(token) if has_token(head, token) => {}
            Some(_) => {
                let error = ApiError::unauthorized("only a node with the pair's secret may ask this");
                return Err(problem(error));
            }
            None => {
                let error = ApiError::not_found(
                    "no \"weir_pair_secret\" is configured: add \"weir_pair_secret FILE;\" outside of all blocks of nginx.conf",
                );
                return Err(problem(error));
            }
        },
        (Some(token), None) => {
            if !has_token(head, token) {
                let error = ApiError::unauthorized("send the header \"Authorization: Bearer TOKEN\"");
                return Err(problem(error));
            }
        }
        (None, None) if !is_local(head) => {
            return Err(problem(ApiError::forbidden(
                "only clients of this machine may use the API: set \"weir_api_token\" to allow others",
            )));
        }
        // A browser on this machine is a local client, whatever page it shows.
        (None, None) => own(head)?,
    }
    let changes = !matches!(head.method, "GET" | "HEAD");
    let json = head.content_type.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    // A form on another site can send a request with the admin's cookies, but not with this content type.
    if changes && !json {
        let error = ApiError::unsupported_media_type("send the header \"Content-Type: application/json\"");
        return Err(problem(error));
    }
    if head.content_length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(body_too_large());
    }
    Ok(())
}

/// Returns whether the request has this token.
fn has_token(head: &Head<'_>, token: &Digest) -> bool {
    let (scheme, given) = head.authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") && Digest::of(given.trim().as_bytes()) == *token
}

/// Returns whether the client is on this machine.
#[must_use]
pub fn is_local(head: &Head<'_>) -> bool {
    head.client.map_or(ClientAddr::Unix, ClientAddr::Ip).is_local()
}

/// Refuses a request of a page from another site, if only the client's address makes the request trusted.
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

/// Returns an error if the headers show that a page from another site sent the request.
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
