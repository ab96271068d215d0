//! RTMPS: nginx's own TLS on a connection that nginx-rtmp opened.
//!
//! The fence finds nginx's functions and OpenSSL's at run time. An nginx without SSL has none of them, and the configuration fails with a
//! clear error.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_long, c_void},
    net::IpAddr,
    path::{Path, PathBuf},
    ptr,
};

use nginx_sys::{
    NGX_AGAIN, NGX_OK, NGX_SSL_BUFFER, NGX_SSL_CLIENT, NGX_SSL_TLSv1_2, NGX_SSL_TLSv1_3, ngx_conf_t,
    ngx_connection_t, ngx_cycle_t, ngx_int_t, ngx_pcalloc, ngx_pool_cleanup_add, ngx_ssl_t, ngx_str_t,
    ngx_uint_t,
};

use super::{failure::Failure, rtmp_sys::symbol};
use crate::local;

/// TLS settings of a connection.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The host that the certificate must be for.
    pub host: String,
    /// Whether `host` is an address, which TLS cannot send as a server name.
    pub is_address: bool,
    /// Whether to verify the certificate.
    pub verify: bool,
}

/// SSL_CTRL_SET_TLSEXT_HOSTNAME and TLSEXT_NAMETYPE_host_name (openssl/tls1.h).
const SET_HOST_NAME: c_int = 55;
const HOST_NAME: c_long = 0;
/// Most certificates between a target's and a CA's.
const DEPTH: ngx_int_t = 9;

type Create = unsafe extern "C" fn(*mut ngx_ssl_t, ngx_uint_t, *mut c_void) -> ngx_int_t;
type Trusted = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_ssl_t, *mut ngx_str_t, ngx_int_t) -> ngx_int_t;
type Connect = unsafe extern "C" fn(*mut ngx_ssl_t, *mut ngx_connection_t, ngx_uint_t) -> ngx_int_t;
type Handshake = unsafe extern "C" fn(*mut ngx_connection_t) -> ngx_int_t;
type CheckHost = unsafe extern "C" fn(*mut ngx_connection_t, *mut ngx_str_t) -> ngx_int_t;
type Cleanup = unsafe extern "C" fn(*mut c_void);
type Control = unsafe extern "C" fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long;
type VerifyResult = unsafe extern "C" fn(*const c_void) -> c_long;
type VerifyText = unsafe extern "C" fn(c_long) -> *const c_char;
type OfConnection = unsafe extern "C" fn(*mut c_void);
type Shutdown = unsafe extern "C" fn(*mut c_void) -> c_int;
type ClearErrors = unsafe extern "C" fn();
type PeerCertificate = unsafe extern "C" fn(*const c_void) -> *mut c_void;
type CheckAddress = unsafe extern "C" fn(*mut c_void, *const c_char, c_int) -> c_int;

/// Declares the functions that are looked up.
macro_rules! functions {
    ($($field:ident: $type:ty = $($symbol:literal)|+,)*) => {
        #[derive(Clone, Copy)]
        struct Functions {
            $($field: $type,)*
        }

        impl Functions {
            fn find() -> Option<Functions> {
                Some(Functions {
                    // SAFETY: each has the type that ngx_event_openssl.h or OpenSSL's headers declare.
                    $($field: unsafe {
                        let found = [$(symbol(concat!($symbol, "\0"))),+].into_iter().flatten().next();
                        std::mem::transmute::<*mut c_void, $type>(found?)
                    },)*
                })
            }
        }
    };
}

functions! {
    create: Create = "ngx_ssl_create",
    trusted: Trusted = "ngx_ssl_trusted_certificate",
    connect: Connect = "ngx_ssl_create_connection",
    handshake: Handshake = "ngx_ssl_handshake",
    check_host: CheckHost = "ngx_ssl_check_host",
    cleanup: Cleanup = "ngx_ssl_cleanup_ctx",
    control: Control = "SSL_ctrl",
    verify_result: VerifyResult = "SSL_get_verify_result",
    verify_text: VerifyText = "X509_verify_cert_error_string",
    free: OfConnection = "SSL_free",
    shutdown: Shutdown = "SSL_shutdown",
    clear_errors: ClearErrors = "ERR_clear_error",
    peer_certificate: PeerCertificate = "SSL_get1_peer_certificate" | "SSL_get_peer_certificate",
    check_address: CheckAddress = "X509_check_ip_asc",
    free_certificate: OfConnection = "X509_free",
}

local! {
    static RUNNING: Option<(Functions, *mut ngx_ssl_t)> = None;
}

/// Why a configuration has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// nginx has no TLS.
    #[error("this nginx was built without SSL (--with-http_ssl_module)")]
    NoTls,
    /// There is no memory.
    #[error("not enough memory")]
    NoMemory,
    /// OpenSSL cannot create a context, and nginx has logged the reason.
    #[error("no TLS context can be made")]
    NoContext,
    /// The fence cannot read a file with certificates.
    #[error("{}: no certificates in PEM can be read", .0.display())]
    Certificates(PathBuf),
}

/// Creates the TLS context for the connections of a configuration.
///
/// # Safety
///
/// `cycle` belongs to a configuration that was read completely.
pub(super) unsafe fn create(
    cycle: *mut ngx_cycle_t,
    trusted: Option<&Path>,
) -> Result<*mut ngx_ssl_t, TlsError> {
    let functions = Functions::find().ok_or(TlsError::NoTls)?;
    // SAFETY: by contract; the context is freed with the pool, as nginx does for its own (ngx_ssl_cleanup_ctx).
    unsafe {
        let pool = (*cycle).pool;
        let ssl: *mut ngx_ssl_t = ngx_pcalloc(pool, size_of::<ngx_ssl_t>()).cast();
        let cleanup = ngx_pool_cleanup_add(pool, 0);
        if ssl.is_null() || cleanup.is_null() {
            return Err(TlsError::NoMemory);
        }
        (*ssl).log = (*cycle).log;
        let protocols = (NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3) as ngx_uint_t;
        if (functions.create)(ssl, protocols, ptr::null_mut()) != NGX_OK as ngx_int_t {
            return Err(TlsError::NoContext);
        }
        (*cleanup).handler = Some(functions.cleanup);
        (*cleanup).data = ssl.cast();
        if let Some(file) = trusted {
            trust(&functions, cycle, ssl, file)?;
        }
        Ok(ssl)
    }
}

/// # Safety
///
/// As for `create`.
unsafe fn trust(
    functions: &Functions,
    cycle: *mut ngx_cycle_t,
    ssl: *mut ngx_ssl_t,
    file: &Path,
) -> Result<(), TlsError> {
    let mut text = file.display().to_string().into_bytes();
    text.push(0);
    let mut name = ngx_str_t { len: text.len() - 1, data: text.as_mut_ptr() };
    // SAFETY: by contract; a configuration of zeroes with cycle, pool and log is what the function looks at
    // beside the file's name, which is whole and ends with a NUL.
    let outcome = unsafe {
        let mut cf: ngx_conf_t = std::mem::zeroed();
        (cf.cycle, cf.pool, cf.temp_pool, cf.log) = (cycle, (*cycle).pool, (*cycle).pool, (*cycle).log);
        (functions.trusted)(&raw mut cf, ssl, &mut name, DEPTH)
    };
    match outcome == NGX_OK as ngx_int_t {
        true => Ok(()),
        false => Err(TlsError::Certificates(file.to_owned())),
    }
}

/// Sets the TLS context of the configuration that runs from now on.
pub(super) fn run(tls: *mut ngx_ssl_t) {
    let found = Functions::find().filter(|_| !tls.is_null());
    RUNNING.with(|running| *running = found.map(|functions| (functions, tls)));
}

/// Progress of a TLS handshake.
pub(super) enum Progress {
    /// The handshake is over.
    Done,
    /// The handshake continues; nginx calls `done` at its end.
    Later,
}

/// Begins TLS on a connection that is up. nginx calls `done` if the handshake does not end within this call.
///
/// # Safety
///
/// `connection` is connected and alive, and nothing has been sent on it.
pub(super) unsafe fn begin(
    connection: *mut ngx_connection_t,
    host: Option<&str>,
    done: unsafe extern "C" fn(*mut ngx_connection_t),
) -> Result<Progress, Failure> {
    let failed = || Failure::Tls("the handshake failed");
    let (functions, ssl) = RUNNING.with(|running| *running).ok_or(Failure::Tls("this nginx has no TLS"))?;
    let flags = (NGX_SSL_BUFFER | NGX_SSL_CLIENT) as ngx_uint_t;
    // SAFETY: by contract. nginx does not free OpenSSL's part of a connection that is closed as nginx-rtmp
    // closes it: that is done with the pool.
    unsafe {
        if (functions.connect)(ssl, connection, flags) != NGX_OK as ngx_int_t {
            return Err(failed());
        }
        let own = (*(*connection).ssl).connection.cast::<c_void>();
        let cleanup = ngx_pool_cleanup_add((*connection).pool, 0);
        if cleanup.is_null() {
            (functions.free)(own);
            return Err(Failure::NoRoom);
        }
        (*cleanup).handler = Some(functions.free);
        (*cleanup).data = own;
        if let Some(host) = host.and_then(|host| CString::new(host).ok()) {
            (functions.control)(own, SET_HOST_NAME, HOST_NAME, host.as_ptr().cast_mut().cast());
        }
        match (functions.handshake)(connection) {
            rc if rc == NGX_OK as ngx_int_t => Ok(Progress::Done),
            rc if rc == NGX_AGAIN as ngx_int_t => {
                (*(*connection).ssl).handler = Some(done);
                Ok(Progress::Later)
            }
            _ => Err(failed()),
        }
    }
}

/// Checks a finished handshake: whether it succeeded, and whether the certificate is for `host`.
///
/// # Safety
///
/// [`begin`] was called for the connection, and its handshake has ended.
pub(super) unsafe fn check(
    connection: *mut ngx_connection_t,
    host: &str,
    verify: bool,
) -> Result<(), Failure> {
    let Some((functions, _)) = RUNNING.with(|running| *running) else { return Err(Failure::Tls("no TLS")) };
    // SAFETY: by contract.
    unsafe {
        let ssl = (*connection).ssl;
        if (*ssl).handshaked() == 0 {
            return Err(Failure::Tls("the handshake failed"));
        }
        if !verify {
            return Ok(());
        }
        let result = (functions.verify_result)((*ssl).connection.cast());
        if result != 0 {
            let text = CStr::from_ptr((functions.verify_text)(result)).to_string_lossy();
            return Err(Failure::Certificate(text.into_owned()));
        }
        let mut name = ngx_str_t { len: host.len(), data: host.as_ptr().cast_mut() };
        let theirs = match host.parse::<IpAddr>() {
            Ok(_) => is_for_address(&functions, (*ssl).connection.cast(), host),
            Err(_) => (functions.check_host)(connection, &mut name) == NGX_OK as ngx_int_t,
        };
        match theirs {
            true => Ok(()),
            false => Err(Failure::Certificate(format!("it is not for {host}"))),
        }
    }
}

/// Returns whether a certificate is for an address, because nginx only looks for names in a certificate.
///
/// # Safety
///
/// `ssl` is a connection of OpenSSL's that shook hands.
unsafe fn is_for_address(functions: &Functions, ssl: *const c_void, address: &str) -> bool {
    let Ok(address) = CString::new(address) else { return false };
    // SAFETY: by contract; the certificate is counted up for us, and down again.
    unsafe {
        let certificate = (functions.peer_certificate)(ssl);
        if certificate.is_null() {
            return false;
        }
        let outcome = (functions.check_address)(certificate, address.as_ptr(), 0);
        (functions.free_certificate)(certificate);
        outcome == 1
    }
}

/// Tells the other end that no more data follows (`close_notify`).
///
/// # Safety
///
/// `connection` is alive.
pub(super) unsafe fn end(connection: *mut ngx_connection_t) {
    let Some((functions, _)) = RUNNING.with(|running| *running) else { return };
    // SAFETY: by contract; without a handshake there is nobody to tell.
    unsafe {
        if let Some(ssl) = (*connection).ssl.as_ref()
            && ssl.handshaked() != 0
        {
            (functions.shutdown)(ssl.connection.cast());
            (functions.clear_errors)();
        }
    }
}
