//! Names to addresses, by nginx's own resolver: no worker waits for an answer.

use std::{ffi::CStr, net::IpAddr, path::Path, ptr};

use nginx_sys::{
    NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pnalloc, ngx_resolve_name, ngx_resolve_name_done,
    ngx_resolve_start, ngx_resolver_create, ngx_resolver_ctx_t, ngx_resolver_strerror, ngx_resolver_t,
    ngx_str_t,
};
use weir_model::push::{EXCHANGE_MS, LastError, hosts};

use super::{address, callback, process::Local, thread};
use crate::settings::MainSettings;

/// NGX_RESOLVE_NXDOMAIN (ngx_resolver.h).
const NO_SUCH_NAME: ngx_int_t = 3;

/// What is called with the addresses of a name.
pub type Answer = Box<dyn FnOnce(Result<Vec<IpAddr>, LastError>) + Send>;

static RUNNING: Local<*mut ngx_resolver_t> = Local::new(ptr::null_mut());

/// A resolver for a configuration; null when a word is not right, which nginx has logged.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(super) unsafe fn create(cf: *mut ngx_conf_t, words: &mut [ngx_str_t]) -> *mut ngx_resolver_t {
    // SAFETY: by contract; nginx copies what it keeps.
    unsafe { ngx_resolver_create(cf, words.as_mut_ptr(), words.len()) }
}

/// The resolver of a configuration that was read completely: by `/etc/resolv.conf` where it has none.
///
/// # Safety
///
/// `cycle` and `settings` belong to that configuration.
pub(super) unsafe fn complete(cycle: *mut ngx_cycle_t, settings: &mut MainSettings) -> Result<(), String> {
    if !settings.resolver.0.is_null() {
        return Ok(());
    }
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers: Vec<String> =
        hosts::name_servers(&file).iter().map(|server| bracketed(*server)).collect();
    if servers.is_empty() {
        servers.push("127.0.0.1".to_owned());
    }
    // SAFETY: a configuration of zeroes with cycle, pool and log is what ngx_resolver_create looks at; the
    // words are copied into the pool.
    unsafe {
        let mut cf: ngx_conf_t = std::mem::zeroed();
        (cf.cycle, cf.pool, cf.temp_pool, cf.log) = (cycle, (*cycle).pool, (*cycle).pool, (*cycle).log);
        let mut words = Vec::new();
        for server in &servers {
            let data: *mut u8 = ngx_pnalloc(cf.pool, server.len()).cast();
            if data.is_null() {
                return Err("not enough memory".to_owned());
            }
            ptr::copy_nonoverlapping(server.as_ptr(), data, server.len());
            words.push(ngx_str_t { len: server.len(), data });
        }
        settings.resolver.0 = create(&raw mut cf, &mut words);
    }
    if settings.resolver.0.is_null() {
        return Err("/etc/resolv.conf has no usable name server: set \"weir_resolver ADDRESS;\"".to_owned());
    }
    Ok(())
}

/// An address as nginx reads it.
fn bracketed(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// This configuration runs from now on.
pub(super) fn run(settings: &MainSettings) {
    RUNNING.with(|running| *running = settings.resolver.0);
}

/// Looks a name up, in the machine's hosts file and then by its name servers. The answer comes later.
pub fn resolve(name: &str, answer: Answer) {
    let wanted = name.to_owned();
    let read = move || -> thread::After {
        let file = std::fs::read_to_string(Path::new("/etc/hosts")).unwrap_or_default();
        let known = hosts::lookup(&file, &wanted);
        Box::new(move || match known.is_empty() {
            true => ask(&wanted, answer),
            false => answer(Ok(known)),
        })
    };
    // A pool that takes no more drops the answer: the look-up ends by its time-out.
    thread::run_alone(thread::Pool::Names, read);
}

fn ask(name: &str, answer: Answer) {
    let resolver = RUNNING.with(|running| *running);
    let failed = |answer: Answer, text: &str| answer(Err(LastError::Resolver(text.to_owned())));
    if resolver.is_null() {
        return failed(answer, "there is no resolver");
    }
    // SAFETY: the resolver of the running configuration. nginx copies the name before it waits; the context is
    // freed in `answered`, or by nginx when it cannot begin.
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
        (*context).timeout = EXCHANGE_MS as usize;
        if ngx_resolve_name(context) != NGX_OK as ngx_int_t {
            failed(*Box::from_raw(data), "the name cannot be asked for");
        }
    }
}

/// ngx_resolver_ctx_t.handler.
unsafe extern "C" fn answered(context: *mut ngx_resolver_ctx_t) {
    callback::guard("the addresses of a name", (), || {
        // SAFETY: the context of `ask`, of which this is the last use; its addresses are as it says.
        unsafe {
            let answer = *Box::from_raw((*context).data.cast::<Answer>());
            let outcome = match (*context).state {
                state if state == NGX_OK as ngx_int_t => Ok(addresses(&*context)),
                NO_SUCH_NAME => Err(LastError::HostNotFound),
                state if state == libc::ETIMEDOUT as ngx_int_t => Err(LastError::ResolverTimeout),
                state => {
                    let text = CStr::from_ptr(ngx_resolver_strerror(state)).to_string_lossy();
                    Err(LastError::Resolver(text.to_lowercase()))
                }
            };
            ngx_resolve_name_done(context);
            answer(outcome);
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
