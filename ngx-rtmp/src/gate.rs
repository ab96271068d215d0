//! A gate in front of HTTP locations. In the access phase, it decides who gets an answer, and it may rewrite the answer.

mod filters;

use std::net::IpAddr;

use nginx_sys::{ngx_http_core_loc_conf_t, ngx_http_request_t, ngx_table_elt_t};

use super::{
    address, collections,
    log::{self, Level},
    types::Types,
    value::Value,
};
pub(super) use filters::install;

/// Decides who gets an HTTP answer.
pub trait Gate: Types {
    /// Facts that the gate keeps for a request until its answer begins.
    type Visit: 'static;

    /// Judges a request in the access phase: again for each location after an internal redirect, and not for subrequests.
    fn judge(asked: &Asked<'_>, settings: &Self::Location) -> (Verdict, Option<Self::Visit>);

    /// Judges a subrequest, such as a part that SSI includes, because nginx runs no access phase for it. Returns whether nginx may answer
    /// it. Not called if the main request was judged for the same address in the same location, nor with `satisfy any`.
    fn judge_part(asked: &Asked<'_>, settings: &Self::Location) -> bool;

    /// Called when the answer begins, with this status and `Content-Type`; for the location that answers, and not for subrequests.
    fn answered(
        asked: &Asked<'_>,
        settings: &Self::Location,
        status: u16,
        content_type: &[u8],
        visit: Option<Self::Visit>,
    );

    /// Masks secrets in place, so that nginx does not log them. Returns the new length.
    fn mask(line: &mut [u8]) -> usize;

    /// Returns the client's text without secrets; `None` if it has none.
    fn masked(line: &[u8]) -> Option<Vec<u8>>;
}

/// The decision about a request.
pub enum Verdict {
    /// The gate is open for all requests.
    Open,
    /// The gate admits this request, and may rewrite the answer.
    Admit(Option<Box<dyn Answer>>),
    /// The gate refuses the request with 403, unless another rule of `satisfy any` admits it.
    Refuse,
    /// The gate refuses the request for now with 503, and sends this number of seconds as `Retry-After`.
    Busy(&'static str),
}

/// Rewrites an answer.
pub trait Answer {
    /// Returns whether the answer is probably one to rewrite, judged by the request's path. If so, nothing may compress it earlier.
    fn is_likely(&self, path: &[u8]) -> bool;
    /// Called when the answer begins. Returns whether to rewrite it.
    fn begin(&mut self, path: &[u8], content_type: &[u8]) -> bool;
    /// Takes the next bytes, and appends finished output to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>);
    /// Called after the last bytes.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// A request at the gate.
pub struct Asked<'r> {
    request: &'r ngx_http_request_t,
    location: Option<&'r ngx_http_core_loc_conf_t>,
}

impl<'r> Asked<'r> {
    /// Returns the path of the request, decoded and normalised by nginx.
    #[must_use]
    pub fn path(&self) -> &'r [u8] {
        collections::bytes(&self.request.uri)
    }

    /// Returns the path below the location, without the folders of the location's own path. Returns the whole path if the location is a
    /// name or a regular expression.
    #[must_use]
    pub fn below(&self) -> &'r [u8] {
        let path = self.path();
        let Some(location) = self.location.filter(|location| location.regex.is_null()) else { return path };
        let name = collections::bytes(&location.name);
        let folder = match path.strip_prefix(name) {
            Some([]) | None => 0,
            Some(rest) if name.starts_with(b"/") && (name.ends_with(b"/") || rest.starts_with(b"/")) => {
                name.len()
            }
            Some(_) if name.starts_with(b"/") => {
                name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)
            }
            _ => 0,
        };
        &path[folder..]
    }

    /// Returns the method: `GET`, `HEAD`, ...
    #[must_use]
    pub fn method(&self) -> &'r [u8] {
        collections::bytes(&self.request.method_name)
    }

    /// Returns the header `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> &'r [u8] {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.user_agent.as_ref() }
            .map_or(&[], |header| collections::bytes(&header.value))
    }

    /// Returns the text after `?`, twice: the present text, and the text that the client sent before nginx rewrote or redirected the
    /// request.
    #[must_use]
    pub fn arguments(&self) -> [&'r [u8]; 2] {
        let sent = collections::bytes(&self.request.unparsed_uri);
        let sent = sent.iter().position(|byte| *byte == b'?').map_or(&[][..], |at| &sent[at + 1..]);
        [collections::bytes(&self.request.args), sent]
    }

    /// Returns the header `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> Option<&'r [u8]> {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.authorization.as_ref() }
            .map(|header| collections::bytes(&header.value))
    }

    /// Returns the headers `Cookie`.
    pub fn cookies(&self) -> impl Iterator<Item = &'r [u8]> {
        headers(self.request, b"cookie").map(|header| collections::bytes(&header.value))
    }

    /// Returns the header `Host`.
    #[must_use]
    pub fn host(&self) -> &'r [u8] {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.host.as_ref() }
            .map_or(&[], |header| collections::bytes(&header.value))
    }

    /// Returns whether the client uses HTTPS, either directly or with a proxy that reports HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        // SAFETY: a request has a connection (ngx_http_alloc_request).
        let has_tls = unsafe { !(*self.request.connection).ssl.is_null() };
        let says_https = |row: &ngx_table_elt_t| {
            collections::bytes(&row.value).to_ascii_lowercase().windows(5).any(|word| word == b"https")
        };
        has_tls
            || headers(self.request, b"x-forwarded-proto").any(says_https)
            || headers(self.request, b"forwarded").any(says_https)
            || headers(self.request, b"x-forwarded-ssl").any(|row| collections::bytes(&row.value) == b"on")
    }

    /// Returns the address of the other end, as changed by modules such as realip; `None` for a unix socket.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        // SAFETY: a request has a connection, with no address or that of the other end (ngx_event_accept).
        unsafe { address::read((*self.request.connection).sockaddr.cast()) }.map(|addr| addr.ip())
    }

    /// Returns a value of the configuration, evaluated for this request.
    #[must_use]
    pub fn value(&self, value: &Value) -> Option<&'r [u8]> {
        value.of(self.request)
    }

    /// Writes a line to the log of the request; nginx adds the client and the request.
    pub fn log(&self, level: Level, message: std::fmt::Arguments<'_>) {
        // SAFETY: a request has a connection, which has a log (ngx_http_init_connection).
        unsafe { log::to((*self.request.connection).log, level, message) }
    }
}

/// Returns the headers with this name, which is in lower case.
fn headers<'r>(
    request: &'r ngx_http_request_t,
    name: &'static [u8],
) -> impl Iterator<Item = &'r ngx_table_elt_t> {
    // SAFETY: the list holds the headers of the request (ngx_http_process_request_headers).
    let rows = unsafe { collections::list::<ngx_table_elt_t>(&request.headers_in.headers).map(|row| &*row) };
    rows.filter(move |row| collections::bytes(&row.key).eq_ignore_ascii_case(name))
}
