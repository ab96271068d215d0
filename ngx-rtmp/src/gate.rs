//! A gate before what http serves: it decides in the access phase who gets an answer, and may rewrite the answer.

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

/// Decides who gets an answer of http.
pub trait Gate: Types {
    /// What the gate remembers of a request until its answer begins.
    type Visit: 'static;

    /// Who asks, in the access phase: with internal redirects for each location anew, and not for subrequests.
    fn judge(asked: &Asked<'_>, settings: &Self::Location) -> (Verdict, Option<Self::Visit>);

    /// The answer begins, with this status and `Content-Type`; for the location that answers, and not for subrequests.
    fn answered(
        asked: &Asked<'_>,
        settings: &Self::Location,
        status: u16,
        content_type: &[u8],
        visit: Option<Self::Visit>,
    );

    /// Masks in place what must not be logged. Returns the new length.
    fn mask(line: &mut [u8]) -> usize;

    /// What a client sent, without what must not be logged; `None` where there is nothing of it.
    fn masked(line: &[u8]) -> Option<Vec<u8>>;
}

/// What becomes of a request.
pub enum Verdict {
    /// The gate is open for everybody.
    Open,
    /// It is opened for this request; the answer may be rewritten.
    Admit(Option<Box<dyn Answer>>),
    /// It stays closed: 403, where no other rule of `satisfy any` opens it.
    Refuse,
    /// It stays closed for now: 503, with so many seconds as `Retry-After`.
    Busy(&'static str),
}

/// An answer that is rewritten.
pub trait Answer {
    /// Whether the answer is one to rewrite as far as its request tells: then nobody compresses it before.
    fn is_likely(&self, path: &[u8]) -> bool;
    /// The answer begins. Returns whether it is rewritten.
    fn begin(&mut self, path: &[u8], content_type: &[u8]) -> bool;
    /// The next bytes; what is ready is appended to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>);
    /// The last bytes were told.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// A request at the gate.
pub struct Asked<'r> {
    request: &'r ngx_http_request_t,
    location: Option<&'r ngx_http_core_loc_conf_t>,
}

impl<'r> Asked<'r> {
    /// The path that is served, decoded and normalised by nginx.
    #[must_use]
    pub fn path(&self) -> &'r [u8] {
        collections::bytes(&self.request.uri)
    }

    /// The same below the location: without the folders that stand in the location's own path. The whole path where the
    /// location is a name or a regular expression.
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

    /// `GET`, `HEAD`, ...
    #[must_use]
    pub fn method(&self) -> &'r [u8] {
        collections::bytes(&self.request.method_name)
    }

    /// The header `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> &'r [u8] {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.user_agent.as_ref() }
            .map_or(&[], |header| collections::bytes(&header.value))
    }

    /// What followed `?`: as it stands now, and as the client sent it, before nginx rewrote or redirected anything.
    #[must_use]
    pub fn arguments(&self) -> [&'r [u8]; 2] {
        let sent = collections::bytes(&self.request.unparsed_uri);
        let sent = sent.iter().position(|byte| *byte == b'?').map_or(&[][..], |at| &sent[at + 1..]);
        [collections::bytes(&self.request.args), sent]
    }

    /// The header `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> Option<&'r [u8]> {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.authorization.as_ref() }
            .map(|header| collections::bytes(&header.value))
    }

    /// The headers `Cookie`.
    pub fn cookies(&self) -> impl Iterator<Item = &'r [u8]> {
        headers(self.request, b"cookie").map(|header| collections::bytes(&header.value))
    }

    /// The header `Host`.
    #[must_use]
    pub fn host(&self) -> &'r [u8] {
        // SAFETY: null, or a header of the request (ngx_http_process_request_headers).
        unsafe { self.request.headers_in.host.as_ref() }
            .map_or(&[], |header| collections::bytes(&header.value))
    }

    /// Whether the client came by HTTPS, here or at a proxy that says so.
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

    /// The address of the other end, as modules such as realip see it; `None` for a unix socket.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        // SAFETY: a request has a connection, with no address or that of the other end (ngx_event_accept).
        unsafe { address::read((*self.request.connection).sockaddr.cast()) }.map(|addr| addr.ip())
    }

    /// What a value of the configuration is for this request.
    #[must_use]
    pub fn value(&self, value: Value) -> Option<&'r [u8]> {
        value.of(self.request)
    }

    /// Writes a line to the log of the request, to which nginx adds the client and the request.
    pub fn log(&self, level: Level, message: std::fmt::Arguments<'_>) {
        // SAFETY: a request has a connection, which has a log (ngx_http_init_connection).
        unsafe { log::to((*self.request.connection).log, level, message) }
    }
}

/// The headers of this name, in lower case.
fn headers<'r>(
    request: &'r ngx_http_request_t,
    name: &'static [u8],
) -> impl Iterator<Item = &'r ngx_table_elt_t> {
    // SAFETY: the list holds the headers of the request (ngx_http_process_request_headers).
    let rows = unsafe { collections::list::<ngx_table_elt_t>(&request.headers_in.headers).map(|row| &*row) };
    rows.filter(move |row| collections::bytes(&row.key).eq_ignore_ascii_case(name))
}
