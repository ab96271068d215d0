//! Directives and settings: what nginx reads becomes a call with safe types, and an error becomes an
//! `[emerg]` line with file and line.

use std::{
    ffi::{CStr, c_char, c_void},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    ptr, slice,
};

use nginx_sys::{
    NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF, NGX_MAIN_CONF, ngx_command_t,
    ngx_conf_full_name, ngx_conf_log_error, ngx_conf_t, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_int_t, ngx_module_t, ngx_pool_t, ngx_str_t, ngx_uint_t,
};
use ngx::core::{NGX_CONF_ERROR, Pool};

use super::{
    callback, collections, export,
    log::Level,
    resolver,
    rtmp_sys::{self, ngx_rtmp_conf_ctx_t, ngx_rtmp_core_app_conf_t},
    thread, zone,
};
use crate::settings::{LocationSettings, MainSettings, ServerName};

/// Where a directive may stand.
pub mod context {
    use super::*;

    /// Outside of all blocks.
    pub const MAIN: ngx_uint_t = (NGX_MAIN_CONF | nginx_sys::NGX_DIRECT_CONF) as ngx_uint_t;
    /// `rtmp`, `server` and `application`.
    pub const RTMP: ngx_uint_t =
        (rtmp_sys::NGX_RTMP_MAIN_CONF | rtmp_sys::NGX_RTMP_SRV_CONF) as ngx_uint_t | APPLICATION;
    /// `rtmp` and `server`.
    pub const RTMP_SERVER: ngx_uint_t =
        (rtmp_sys::NGX_RTMP_MAIN_CONF | rtmp_sys::NGX_RTMP_SRV_CONF) as ngx_uint_t;
    /// `application` alone.
    pub const APPLICATION: ngx_uint_t = rtmp_sys::NGX_RTMP_APP_CONF as ngx_uint_t;
    /// `http`, `server` and `location`.
    pub const HTTP: ngx_uint_t = (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF) as ngx_uint_t | LOCATION;
    /// `location` alone.
    pub const LOCATION: ngx_uint_t = NGX_HTTP_LOC_CONF as ngx_uint_t;
    /// Exactly one argument.
    pub const ONE: ngx_uint_t = NGX_CONF_TAKE1 as ngx_uint_t;
    /// One argument or two.
    pub const ONE_OR_TWO: ngx_uint_t = nginx_sys::NGX_CONF_TAKE12 as ngx_uint_t;
    /// One argument or more.
    pub const ONE_OR_MORE: ngx_uint_t = nginx_sys::NGX_CONF_1MORE as ngx_uint_t;
    /// No argument, one or two.
    pub const UP_TO_TWO: ngx_uint_t = (nginx_sys::NGX_CONF_NOARGS | nginx_sys::NGX_CONF_TAKE12) as ngx_uint_t;
    /// No argument.
    pub const NONE: ngx_uint_t = nginx_sys::NGX_CONF_NOARGS as ngx_uint_t;
}

/// The block that a directive's settings belong to.
pub enum Block {
    /// The settings of the whole configuration.
    Main,
    /// Those of an application, inherited from `server` and `rtmp`.
    Application,
    /// Those of a location, inherited from `server` and `http`.
    Location,
}

/// One directive: parse and assign, no more.
pub trait Directive {
    /// The settings that it writes to, as created for its [`Block`].
    type Settings;
    /// Its name.
    const NAME: &'static CStr;
    /// Where it may stand and how many arguments it takes: [`context`] constants, or-ed.
    const CONTEXT: ngx_uint_t;
    /// Whose settings they are.
    const BLOCK: Block;
    /// Reads the arguments. An error is logged with the directive's name, file and line.
    fn set(settings: &mut Self::Settings, cx: &mut Context<'_>) -> Result<(), String>;
}

/// A row of a module's command table.
pub(super) const fn command<D: Directive>() -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: D::NAME.to_bytes().len(), data: D::NAME.as_ptr().cast_mut().cast() },
        type_: D::CONTEXT,
        set: Some(set::<D>),
        conf: match D::BLOCK {
            Block::Main => 0,
            Block::Application => std::mem::offset_of!(ngx_rtmp_conf_ctx_t, app_conf),
            Block::Location => std::mem::offset_of!(nginx_sys::ngx_http_conf_ctx_t, loc_conf),
        },
        offset: 0,
        post: ptr::null_mut(),
    }
}

/// The end of a command table.
pub(super) const fn no_command() -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: 0, data: ptr::null_mut() },
        type_: 0,
        set: None,
        conf: 0,
        offset: 0,
        post: ptr::null_mut(),
    }
}

extern "C" fn set<D: Directive>(
    cf: *mut ngx_conf_t,
    _cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    callback::guard("a directive", NGX_CONF_ERROR.cast(), || {
        // SAFETY: nginx calls with the configuration being read, and with the settings that the module of
        // this command created for the block: the tables in `export` pair both.
        let (cf, settings) = unsafe { (&mut *cf, &mut *conf.cast::<D::Settings>()) };
        match D::set(settings, &mut Context { cf }) {
            Ok(()) => ptr::null_mut(),
            Err(message) => {
                let name = D::NAME.to_string_lossy();
                report(cf, Level::Emergency, &format!("\"{name}\": {message}"));
                NGX_CONF_ERROR.cast()
            }
        }
    })
}

/// Logs a line with the file and line that is being read.
pub(super) fn report(cf: *mut ngx_conf_t, level: Level, message: &str) {
    // SAFETY: the configuration being read; length and text go together.
    unsafe { ngx_conf_log_error(level.number(), cf, 0, c"%*s".as_ptr(), message.len(), message.as_ptr()) }
}

/// The directive being read: its arguments, and what it may do to the configuration.
pub struct Context<'c> {
    cf: &'c mut ngx_conf_t,
}

impl Context<'_> {
    /// The arguments after the name.
    pub fn arguments(&self) -> Result<Vec<&str>, String> {
        // SAFETY: `args` holds the directive's words (ngx_conf_handler).
        let words = unsafe { collections::array::<ngx_str_t>(&*self.cf.args) };
        words
            .iter()
            .skip(1)
            .map(|word| text(word).ok_or_else(|| "an argument is not UTF-8".to_owned()))
            .collect()
    }

    /// The first argument.
    pub fn argument(&self) -> Result<&str, String> {
        self.arguments()?.first().copied().ok_or_else(|| "an argument is missing".to_owned())
    }

    /// The file and line of the directive, as nginx writes them.
    pub fn place(&self) -> String {
        // SAFETY: the file being read, null only for `-g`.
        match unsafe { self.cf.conf_file.as_ref() } {
            Some(file) => format!("{}:{}", text(&file.file.name).unwrap_or("?"), file.line),
            None => "command line".to_owned(),
        }
    }

    /// A file name, taken from the folder of the configuration when it is relative (ngx_conf_full_name).
    pub fn path(&mut self, name: &str) -> Result<PathBuf, String> {
        let mut full = self.copy(name).ok_or("not enough memory")?;
        // SAFETY: the string is in the configuration's pool and ends with a NUL, as nginx's own do.
        unsafe {
            if ngx_conf_full_name(self.cf.cycle, &mut full, 1) != nginx_sys::NGX_OK as ngx_int_t {
                return Err("not enough memory".to_owned());
            }
        }
        Ok(PathBuf::from(text(&full).ok_or("the file name is not UTF-8")?))
    }

    /// Reads a file at configuration time, as root where nginx starts as root.
    pub fn read(&mut self, name: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let path = self.path(name)?;
        let bytes =
            std::fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Ok((path, bytes))
    }

    /// Reads a file that holds a secret, and warns when others on the machine can read it too.
    pub fn read_secret(&mut self, name: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let (path, bytes) = self.read(name)?;
        let mode = std::fs::metadata(&path).map_or(0, |facts| facts.permissions().mode());
        if mode & 0o004 != 0 {
            let path = path.display();
            report(self.cf, Level::Warning, &format!("weir: {path} is world-readable; run chmod o= {path}"));
        }
        Ok((path, bytes))
    }

    /// A size in bytes, `k` and `m` allowed (ngx_parse_size).
    pub fn size(&mut self, argument: &str) -> Result<usize, String> {
        let mut word = self.copy(argument).ok_or("not enough memory")?;
        // SAFETY: a string of the given length.
        let size = unsafe { nginx_sys::ngx_parse_size(&mut word) };
        usize::try_from(size).map_err(|_| format!("invalid size \"{argument}\", expected for example \"4m\""))
    }

    /// A size in bytes that may be larger than memory, `k`, `m` and `g` allowed (ngx_parse_offset).
    pub fn offset(&mut self, argument: &str) -> Result<u64, String> {
        let mut word = self.copy(argument).ok_or("not enough memory")?;
        // SAFETY: a string of the given length.
        let size = unsafe { nginx_sys::ngx_parse_offset(&mut word) };
        u64::try_from(size).map_err(|_| format!("invalid size \"{argument}\", expected for example \"64m\""))
    }

    /// A time in milliseconds, `s`, `m` and the like allowed (ngx_parse_time).
    pub fn milliseconds(&mut self, argument: &str) -> Result<u64, String> {
        let mut word = self.copy(argument).ok_or("not enough memory")?;
        // SAFETY: a string of the given length.
        let time = unsafe { nginx_sys::ngx_parse_time(&mut word, 0) };
        u64::try_from(time).map_err(|_| format!("invalid time \"{argument}\", expected for example \"30s\""))
    }

    /// The settings of the whole configuration.
    pub fn main(&mut self) -> &mut MainSettings {
        // SAFETY: made by `create_main` when the module was loaded, in the pool of the same configuration.
        unsafe { &mut *main_settings((*self.cf.cycle).conf_ctx) }
    }

    /// The name of the application that is being read.
    pub fn application(&self) -> Result<String, String> {
        let rtmp = rtmp_sys::rtmp().ok_or("nginx-rtmp is not loaded")?;
        // SAFETY: inside of an application, `ctx` is that of nginx-rtmp (ngx_rtmp_core_application).
        let name = unsafe {
            let ctx = &*self.cf.ctx.cast::<ngx_rtmp_conf_ctx_t>();
            let app = *ctx.app_conf.add((*rtmp.ngx_rtmp_core_module).ctx_index);
            (*app.cast::<ngx_rtmp_core_app_conf_t>()).name
        };
        text(&name).map(str::to_owned).ok_or_else(|| "the application's name is not UTF-8".to_owned())
    }

    /// The `server` block that is being read.
    pub fn server_block(&self) -> BlockMark {
        // SAFETY: inside of an application, `ctx` is that of nginx-rtmp (ngx_rtmp_core_application), which has the settings of
        // the `server` block around it.
        BlockMark(unsafe { (*self.cf.ctx.cast::<ngx_rtmp_conf_ctx_t>()).srv_conf.addr() })
    }

    /// Makes sure that the modules fit together, and asks for the zone and the thread pools.
    pub fn add_zone(&mut self, size: usize, settings: *mut MainSettings) -> Result<(), String> {
        rtmp_sys::check()?;
        self.check_load_order()?;
        thread::add_pools(self.cf)?;
        zone::add(self.cf, size, settings)
    }

    /// Logs a warning with the place of the directive.
    pub fn warn(&mut self, message: &str) {
        report(self.cf, Level::Warning, message);
    }

    /// Name servers, with `valid=` and `ipv6=` (ngx_resolver_create).
    pub fn add_resolver(&mut self, settings: &mut MainSettings) -> Result<(), String> {
        if !settings.resolver.0.is_null() {
            return Err("the directive is duplicate".to_owned());
        }
        // SAFETY: the directive's words, of which the first is its name.
        let words = unsafe { collections::array_mut::<ngx_str_t>(&mut *self.cf.args) };
        // SAFETY: the configuration being read.
        settings.resolver.0 = unsafe { resolver::create(self.cf, &mut words[1..]) };
        // nginx has logged what is wrong.
        if settings.resolver.0.is_null() { Err("the resolver cannot be made".to_owned()) } else { Ok(()) }
    }

    /// nginx calls the API for requests to this location, with room for a whole body in memory.
    pub fn serve_api(&mut self) {
        let core = self.location();
        core.handler = Some(super::request::handle);
        core.client_body_buffer_size = crate::api::MAX_BODY + 1;
    }

    /// nginx calls the statistics for requests to this location.
    pub fn serve_stat(&mut self) {
        self.location().handler = Some(super::request::handle_stat);
    }

    /// http's own settings of the location that is being read.
    fn location(&mut self) -> &mut ngx_http_core_loc_conf_t {
        // SAFETY: inside of a location, `ctx` is that of http; its core module made the location's settings.
        unsafe {
            let ctx = &*self.cf.ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>();
            &mut *(*ctx.loc_conf.add(ngx_http_core_module.ctx_index)).cast()
        }
    }

    /// Hooks into nginx-rtmp's chains go around those of the modules before: it must be one of them.
    fn check_load_order(&self) -> Result<(), String> {
        let position = |wanted: &str| {
            let mut at = 0;
            loop {
                // SAFETY: a table that ends with null (ngx_cycle_modules).
                let module = unsafe { (*(*self.cf.cycle).modules.add(at)).as_ref() }?;
                // SAFETY: every module of the table has a name.
                if unsafe { CStr::from_ptr(module.name) }.to_bytes() == wanted.as_bytes() {
                    return Some(at);
                }
                at += 1;
            }
        };
        match (position("ngx_rtmp_core_module"), position("ngx_rtmp_weir_module")) {
            (Some(rtmp), Some(weir)) if rtmp < weir => Ok(()),
            _ => Err(
                "nginx-rtmp is loaded after this module: put \"load_module modules/ngx_rtmp_module.so;\" \
                      before \"load_module modules/ngx_rtmp_weir_module.so;\""
                    .to_owned(),
            ),
        }
    }

    fn copy(&mut self, text: &str) -> Option<ngx_str_t> {
        // SAFETY: the pool of the configuration; one byte more than asked for, for the NUL that nginx's own
        // words have.
        unsafe {
            let data = nginx_sys::ngx_pnalloc(self.cf.pool, text.len() + 1).cast::<u8>();
            if data.is_null() {
                return None;
            }
            ptr::copy_nonoverlapping(text.as_ptr(), data, text.len());
            *data.add(text.len()) = 0;
            Some(ngx_str_t { len: text.len(), data })
        }
    }
}

/// A string of nginx as text.
pub(super) fn text(word: &ngx_str_t) -> Option<&str> {
    if word.len == 0 {
        return Some("");
    }
    // SAFETY: a string of nginx: `len` bytes at `data`.
    std::str::from_utf8(unsafe { slice::from_raw_parts(word.data, word.len) }).ok()
}

/// The bytes of a string of nginx.
pub(super) fn bytes(word: &ngx_str_t) -> &[u8] {
    // SAFETY: a string of nginx: `len` bytes at `data`, and nothing is read of an empty one.
    if word.len == 0 { &[] } else { unsafe { slice::from_raw_parts(word.data, word.len) } }
}

/// The settings of the whole configuration, in a cycle's table.
///
/// # Safety
///
/// `conf_ctx` is the table of a cycle that this module was loaded into.
pub(super) unsafe fn main_settings(conf_ctx: *mut *mut *mut *mut c_void) -> *mut MainSettings {
    // SAFETY: by contract; the index was given when the module was loaded.
    unsafe { (*conf_ctx.add((*export::core_module()).index)).cast() }
}

/// New settings in a pool, dropped with it. Null when there is no memory.
pub(super) fn create<T: Default>(pool: *mut ngx_pool_t) -> *mut c_void {
    callback::guard("new settings", ptr::null_mut(), || {
        // SAFETY: the pool of the configuration that is being read.
        unsafe { Pool::from_ngx_pool(pool) }.allocate(T::default()).cast()
    })
}

/// Settings that a block inherits.
pub trait Inherit {
    /// Takes from the outer block what was not said in this one.
    fn inherit(&mut self, outer: &Self);
}

pub(super) extern "C" fn create_in_conf<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: the configuration that is being read.
    create::<T>(unsafe { (*cf).pool })
}

pub(super) extern "C" fn merge<T: Inherit>(
    _cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    callback::guard("inherited settings", NGX_CONF_ERROR.cast(), || {
        // SAFETY: both were made by `create_in_conf::<T>`, and a block is not its own outer one; nginx-rtmp
        // merges a `server` into itself as application settings, where there is nothing to take.
        unsafe {
            if !ptr::eq(outer, inner) {
                (*inner.cast::<T>()).inherit(&*outer.cast::<T>());
            }
        }
        ptr::null_mut()
    })
}

/// As [`merge`], for the settings of locations: those that answer learn the names of their server.
pub(super) extern "C" fn merge_location(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    let merged = merge::<LocationSettings>(cf, outer, inner);
    callback::guard("names of a server", NGX_CONF_ERROR.cast(), || {
        // SAFETY: `inner` was made by `create_in_conf`; while the locations of a server are merged, `ctx` has that
        // server's settings (ngx_http_merge_servers), and the list of its names is not given back yet.
        unsafe {
            let settings = &mut *inner.cast::<LocationSettings>();
            let ctx = (*cf).ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>().as_ref();
            let core = &raw const ngx_http_core_module;
            let server = ctx.and_then(|ctx| entry::<nginx_sys::ngx_http_core_srv_conf_t>(ctx.srv_conf, core));
            if let Some(server) = server
                && (settings.api || settings.stat.is_some())
            {
                settings.server_names = server_names(server);
            }
        }
        merged
    })
}

/// # Safety
///
/// The configuration is being read.
unsafe fn server_names(server: &nginx_sys::ngx_http_core_srv_conf_t) -> Vec<ServerName> {
    // SAFETY: by contract.
    let names = unsafe { collections::array::<nginx_sys::ngx_http_server_name_t>(&server.server_names) };
    let name = |name: &nginx_sys::ngx_http_server_name_t| match name.regex.is_null() {
        true => text(&name.name).map(|name| ServerName::Text(name.to_owned())),
        false => Some(ServerName::Pattern(Handle(name.regex))),
    };
    names.iter().filter_map(name).collect()
}

/// The settings of a module in a table of settings.
///
/// # Safety
///
/// `table` is null or was filled for modules of `module`'s type, and `module`'s entry is a `T` or null.
pub(super) unsafe fn entry<'a, T>(table: *mut *mut c_void, module: *const ngx_module_t) -> Option<&'a T> {
    // SAFETY: by contract.
    unsafe {
        table.as_ref()?;
        (*table.add((*module).ctx_index)).cast::<T>().as_ref()
    }
}

/// Tells a `server` block from the others of a configuration, while that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMark(pub(super) usize);

/// A pointer to something of nginx's, which only the fence looks behind.
pub struct Handle<T>(pub(super) *mut T);

impl<T> Default for Handle<T> {
    fn default() -> Self {
        Handle(ptr::null_mut())
    }
}
