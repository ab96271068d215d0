//! Resolves names to addresses with nginx's own resolver, so that no worker blocks.

use std::{ffi::CStr, net::IpAddr, ptr};

use nginx_sys::{
    NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pnalloc, ngx_resolve_name, ngx_resolve_name_done,
    ngx_resolve_start, ngx_resolver_create, ngx_resolver_ctx_t, ngx_resolver_strerror, ngx_resolver_t,
    ngx_str_t,
};

use super::{
    address,
    callback::{self, Sessions},
    process,
};
use crate::local;

/// NGX_RESOLVE_NXDOMAIN (ngx_resolver.h).
const NO_SUCH_NAME: ngx_int_t = 3;

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAddress {
    /// The name does not exist.
    Unknown,
    /// No name server answered in time.
    TimedOut,
    /// Another error, in nginx's words.
    Other(String),
}

/// Callback for the addresses of a name.
pub type Answer = Box<dyn FnOnce(&mut Sessions<'_>, Result<Vec<IpAddr>, NoAddress>) + Send>;

local! {
    static RUNNING: *mut ngx_resolver_t = ptr::null_mut();
}

/// Creates a resolver for a configuration. Returns null if an argument is wrong; nginx has logged the error.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(super) unsafe fn create(cf: *mut ngx_conf_t, words: &mut [ngx_str_t]) -> *mut ngx_resolver_t {
    // SAFETY: by contract; nginx copies what it keeps.
    unsafe { ngx_resolver_create(cf, words.as_mut_ptr(), words.len()) }
}

/// Creates a resolver for these name servers. Returns null if that fails.
///
/// # Safety
///
/// `cycle` belongs to a configuration that was read completely.
pub(super) unsafe fn of_servers(cycle: *mut ngx_cycle_t, servers: &[IpAddr]) -> *mut ngx_resolver_t {
    // SAFETY: a configuration of zeroes with cycle, pool and log is what ngx_resolver_create looks at; the
    // words are copied into the pool.
    unsafe {
        let mut cf: ngx_conf_t = std::mem::zeroed();
        (cf.cycle, cf.pool, cf.temp_pool, cf.log) = (cycle, (*cycle).pool, (*cycle).pool, (*cycle).log);
        let mut words = Vec::new();
        for server in servers {
            let server = bracketed(*server);
            let data: *mut u8 = ngx_pnalloc(cf.pool, server.len()).cast();
            if data.is_null() {
                return ptr::null_mut();
            }
            ptr::copy_nonoverlapping(server.as_ptr(), data, server.len());
            words.push(ngx_str_t { len: server.len(), data });
        }
        create(&raw mut cf, &mut words)
    }
}

/// Returns an address in the form that nginx reads.
fn bracketed(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Sets the resolver of the configuration that runs from now on.
pub(super) fn run(resolver: *mut ngx_resolver_t) {
    RUNNING.with(|running| *running = resolver);
}

/// Asks the name servers for the addresses of a name, for at most `timeout_ms`. Calls `answer` later, or immediately if there is no name
/// server to ask.
pub fn resolve(sessions: &mut Sessions<'_>, name: &str, timeout_ms: usize, answer: Answer) {
    process::assert_loop();
    let resolver = RUNNING.with(|running| *running);
    let mut failed = |answer: Answer, text: &str| answer(sessions, Err(NoAddress::Other(text.to_owned())));
    if resolver.is_null() {
        return failed(answer, "there is no resolver");
    }
    // SAFETY: the resolver of the running configuration. nginx copies the name before it waits; the context is
    // freed in `answered`, or by nginx when it cannot begin (ngx_resolve_name).
    unsafe {
        let context = ngx_resolve_start(resolver, ptr::null_mut());
        // NGX_NO_RESOLVER is -1.
        if context.is_null() || context.addr() == usize::MAX {
            return failed(answer, "no name server is configured");
        }
        let data = Box::into_raw(Box::new(answer));
        (*context).name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        (*context).handler = Some(answered);
        (*context).data = data.cast();
        (*context).timeout = timeout_ms;
        if ngx_resolve_name(context) != NGX_OK as ngx_int_t {
            failed(*Box::from_raw(data), "the name cannot be asked for");
        }
    }
}

/// ngx_resolver_ctx_t.handler.
unsafe extern "C" fn answered(context: *mut ngx_resolver_ctx_t) {
    callback::guard("the addresses of a name", (), || {
        // SAFETY: the context of `resolve`; nginx calls its handler once (ngx_resolve_name), and the box is freed here.
        unsafe {
            let answer = *Box::from_raw((*context).data.cast::<Answer>());
            let outcome = match (*context).state {
                state if state == NGX_OK as ngx_int_t => Ok(addresses(&*context)),
                NO_SUCH_NAME => Err(NoAddress::Unknown),
                state if state == libc::ETIMEDOUT as ngx_int_t => Err(NoAddress::TimedOut),
                state => {
                    let text = CStr::from_ptr(ngx_resolver_strerror(state)).to_string_lossy();
                    Err(NoAddress::Other(text.to_lowercase()))
                }
            };
            ngx_resolve_name_done(context);
            // No session is lent: this is an event of the loop, or `resolve`, which has borrowed the sessions.
            answer(&mut Sessions::new(), outcome);
        }
    });
}

/// # Safety
///
/// `context` holds an answer.
unsafe fn addresses(context: &ngx_resolver_ctx_t) -> Vec<IpAddr> {
    // SAFETY: by contract, `naddrs` addresses, each of the family that it says.
    let read = |at| unsafe { address::read((*context.addrs.add(at)).sockaddr.cast()) };
    (0..context.naddrs).filter_map(read).map(|addr| addr.ip()).collect()
}
