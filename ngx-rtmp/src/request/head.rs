//! A request without its body.

use std::{ffi::c_void, net::IpAddr};

use nginx_sys::{
    NGX_OK, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_request_t, ngx_int_t, ngx_str_t,
    ngx_table_elt_t,
};
use ngx::core::Pool;
use percent_encoding::percent_decode;

use crate::{
    address, buffers, collections, rtmp_sys,
    slots::{self, LocationSlot, Pattern, ServerName},
    types::{Tables, Types},
};

/// A request without its body.
pub struct Head<'r, M: Types> {
    /// `GET`, `POST`, ...
    pub method: &'r str,
    /// Whether path and arguments are UTF-8. If not, they are empty.
    pub is_text: bool,
    /// The path below the location, without a slash at the start: `v1/keys`.
    pub path: &'r str,
    /// The parts of the path, each decoded separately: a `%2F` belongs to a name, and a part may be `..` or empty. U+FFFD replaces bytes
    /// that are not UTF-8.
    pub parts: Vec<String>,
    /// The text after `?`.
    pub query: &'r str,
    /// The header `Authorization`.
    pub authorization: Option<&'r str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'r str>,
    /// `Content-Length`, if it was sent.
    pub content_length: Option<u64>,
    /// The header `Last-Event-ID`.
    pub last_event_id: Option<&'r str>,
    /// The header `Weir-By`, which names the client's program.
    pub by: Option<&'r str>,
    /// The host name that nginx uses, if there is one. A value that is not UTF-8 is empty.
    pub host: Option<&'r str>,
    /// The header `Host`. It differs from `host` if the first line of the request has a host too.
    pub host_header: Option<&'r str>,
    /// The headers `Origin`. A header that is not UTF-8 is U+FFFD.
    pub origins: Vec<&'r str>,
    /// The names of its server.
    pub server_names: &'r [ServerName],
    /// The address of the other end; `None` for a unix socket.
    pub client: Option<IpAddr>,
    /// The settings of its location.
    pub settings: &'r M::Location,
    request: &'r ngx_http_request_t,
}

impl<M: Types> Head<'_, M> {
    /// Returns whether a regular expression of `server_name` matches a host.
    #[must_use]
    pub fn matches(&self, pattern: &Pattern, host: &str) -> bool {
        // SAFETY: the request is alive for as long as its head; the expressions of a location's server live as long as
        // the configuration that runs (ngx_regex_compile).
        unsafe { matches_pattern(self.request, pattern, host) }
    }
}

/// # Safety
///
/// `r` was read up to its body.
pub(super) unsafe fn head<'r, M: Tables>(r: &'r ngx_http_request_t) -> Option<Head<'r, M>> {
    // SAFETY: strings of a request live in its pool or in its header buffers (ngx_http_process_request_line), as long as it; the
    // settings live with the configuration.
    unsafe {
        let core = (&raw const ngx_http_core_module).as_ref()?;
        let location: &ngx_http_core_loc_conf_t = slots::entry(r.loc_conf, core)?;
        let slot = slots::entry::<LocationSlot<M::Location>>(r.loc_conf, M::http_module())?;
        let uri = collections::text(&r.uri).unwrap_or_default();
        let below = collections::text(&location.name).and_then(|name| uri.strip_prefix(name));
        // A location with a regular expression has no prefix to remove.
        let below = below.or_else(|| uri.find("/v1/").map(|at| &uri[at..])).unwrap_or(uri);
        let below = below.trim_start_matches('/');
        let header =
            |entry: *mut ngx_table_elt_t| entry.as_ref().and_then(|entry| collections::text(&entry.value));
        Some(Head {
            method: collections::text(&r.method_name)?,
            is_text: collections::text(&r.uri).is_some() && collections::text(&r.args).is_some(),
            path: below,
            parts: parts(r, &location.name, below),
            query: collections::text(&r.args).unwrap_or_default(),
            authorization: header(r.headers_in.authorization),
            content_type: header(r.headers_in.content_type),
            content_length: u64::try_from(r.headers_in.content_length_n).ok(),
            last_event_id: headers_named(r, "last-event-id").next(),
            by: headers_named(r, "weir-by").next(),
            host: (r.headers_in.server.len > 0)
                .then(|| collections::text(&r.headers_in.server).unwrap_or_default()),
            host_header: r
                .headers_in
                .host
                .as_ref()
                .map(|row| collections::text(&row.value).unwrap_or_default()),
            origins: headers_named(r, "origin").collect(),
            server_names: &slot.names,
            client: address::of_connection(&*r.connection),
            settings: &slot.settings,
            request: r,
        })
    }
}

/// Returns the parts of the requested path below the location. After a rewrite, or if the client wrote the location in another form,
/// returns the parts of the path that nginx made of it.
fn parts(r: &ngx_http_request_t, location: &ngx_str_t, below: &str) -> Vec<String> {
    let decoded = || below.trim_matches('/').split('/').map(str::to_owned).collect();
    let (asked, location) = (collections::bytes(&r.unparsed_uri), collections::bytes(location));
    if r.valid_unparsed_uri() == 0 {
        return decoded();
    }
    let path = asked.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let decode = |part: &[u8]| percent_decode(part).decode_utf8_lossy().into_owned();
    let all: Vec<String> = path.split(|byte| *byte == b'/').map(decode).collect();
    let location = String::from_utf8_lossy(location);
    let own: Vec<&str> = location.trim_end_matches('/').split('/').collect();
    let (above, rest) = all.split_at(own.len().min(all.len()));
    if location.starts_with('/') && above == own { rest.to_vec() } else { decoded() }
}

/// Returns whether a regular expression of `server_name` matches a host (ngx_http_regex_exec).
///
/// # Safety
///
/// `r` is alive; the expression lives as long as the configuration that runs.
unsafe fn matches_pattern(r: &ngx_http_request_t, pattern: &Pattern, host: &str) -> bool {
    type Exec = unsafe extern "C" fn(
        *mut ngx_http_request_t,
        *mut nginx_sys::ngx_http_regex_t,
        *mut ngx_str_t,
    ) -> ngx_int_t;
    let Some(exec) = rtmp_sys::symbol("ngx_http_regex_exec\0") else { return false };
    // SAFETY: by contract; the function has the type that nginx declares in ngx_http_variables.h. A named capture would
    // refer to the host: what it refers to is copied into the request's pool.
    unsafe {
        let exec = std::mem::transmute::<*mut c_void, Exec>(exec);
        let Some(mut text) = buffers::copy(&Pool::from_ngx_pool(r.pool), &host.to_ascii_lowercase()) else {
            return false;
        };
        exec((&raw const *r).cast_mut(), pattern.0, &raw mut text) == NGX_OK as ngx_int_t
    }
}

/// Returns the values of headers that nginx has no field for.
///
/// # Safety
///
/// `r` was read up to its body.
unsafe fn headers_named<'r>(r: &'r ngx_http_request_t, name: &'static str) -> impl Iterator<Item = &'r str> {
    // SAFETY: by contract; the list holds headers.
    let rows = unsafe { collections::list::<ngx_table_elt_t>(&r.headers_in.headers).map(|row| &*row) };
    let named = move |row: &&ngx_table_elt_t| {
        collections::text(&row.key).is_some_and(|key| key.eq_ignore_ascii_case(name))
    };
    rows.filter(named).map(|row| collections::text(&row.value).unwrap_or("\u{fffd}"))
}
