//! Directives and settings. The fence turns what nginx reads into a call with safe types, and an error into an `[emerg]` line with file and
//! line.

mod error;

use std::{
    ffi::{CStr, c_char, c_void},
    fmt::Display,
    marker::PhantomData,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    ptr,
};

use nginx_sys::{
    NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF, NGX_MAIN_CONF, ngx_command_t,
    ngx_conf_full_name, ngx_conf_log_error, ngx_conf_t, ngx_int_t, ngx_str_t, ngx_uint_t,
};
use ngx::core::NGX_CONF_ERROR;

use super::{
    callback,
    collections::{self, text},
    files,
    log::Level,
    resolver,
    rtmp_sys::{self, ngx_rtmp_conf_ctx_t, ngx_rtmp_core_app_conf_t},
    slots::{self, LocationSlot, MainSlot},
    thread,
    types::Tables,
    value::Value,
    zone::{self, ZoneOwner},
};

pub use error::{AddZoneError, ArgumentError};

pub use super::{
    slots::{Pattern, ServerName},
    types::Inherit,
};

/// Largest file with a secret that is read, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// The block that a directive's settings belong to.
pub trait Block<M: Tables>: sealed::Block<M> {}

/// The settings of the whole configuration.
pub struct Main;
/// The settings of an application, inherited from `server` and `rtmp`.
pub struct Application;
/// The settings of a location, inherited from `server` and `http`.
pub struct Location;

impl<M: Tables> Block<M> for Main {}
impl<M: Tables> Block<M> for Application {}
impl<M: Tables> Block<M> for Location {}

mod sealed {
    use super::{Application, Location, LocationSlot, Main, MainSlot, Tables, c_void};

    /// # Safety
    ///
    /// nginx hands the directives of the block the memory that [`settings`](Block::settings) reads.
    pub unsafe trait Block<M: Tables> {
        /// The settings of the block.
        type Settings;
        /// # Safety
        ///
        /// `conf` is what nginx handed to a directive of this block, and nobody else refers to it.
        unsafe fn settings<'c>(conf: *mut c_void) -> &'c mut Self::Settings;
    }

    // SAFETY: a directive of the core module gets the settings of `cycle::create` (ngx_conf_handler, NGX_DIRECT_CONF).
    unsafe impl<M: Tables> Block<M> for Main {
        type Settings = M::Main;
        unsafe fn settings<'c>(conf: *mut c_void) -> &'c mut M::Main {
            // SAFETY: by contract.
            unsafe { &mut (*conf.cast::<MainSlot<M::Main>>()).settings }
        }
    }

    // SAFETY: the settings of `create_in_conf`, as `export::rtmp_context` has it (ngx_conf_handler).
    unsafe impl<M: Tables> Block<M> for Application {
        type Settings = M::App;
        unsafe fn settings<'c>(conf: *mut c_void) -> &'c mut M::App {
            // SAFETY: by contract.
            unsafe { &mut *conf.cast::<M::App>() }
        }
    }

    // SAFETY: the settings of `create_in_conf`, as `export::http_context` has it (ngx_conf_handler).
    unsafe impl<M: Tables> Block<M> for Location {
        type Settings = M::Location;
        unsafe fn settings<'c>(conf: *mut c_void) -> &'c mut M::Location {
            // SAFETY: by contract.
            unsafe { &mut (*conf.cast::<LocationSlot<M::Location>>()).settings }
        }
    }
}

/// The blocks that a directive may be in, and the number of its arguments.
pub struct Place<B>(ngx_uint_t, PhantomData<B>);

impl<B> Place<B> {
    const fn at(flags: u32) -> Self {
        Place(flags as ngx_uint_t, PhantomData)
    }

    const fn and(self, flags: u32) -> Self {
        Place(self.0 | flags as ngx_uint_t, PhantomData)
    }

    /// Takes no argument.
    #[must_use]
    pub const fn none(self) -> Self {
        self.and(nginx_sys::NGX_CONF_NOARGS)
    }

    /// Takes exactly one argument.
    #[must_use]
    pub const fn one(self) -> Self {
        self.and(NGX_CONF_TAKE1)
    }

    /// Takes one argument or two.
    #[must_use]
    pub const fn one_or_two(self) -> Self {
        self.and(nginx_sys::NGX_CONF_TAKE12)
    }

    /// Takes one argument or more.
    #[must_use]
    pub const fn one_or_more(self) -> Self {
        self.and(nginx_sys::NGX_CONF_1MORE)
    }

    /// Takes no argument, one or two.
    #[must_use]
    pub const fn up_to_two(self) -> Self {
        self.and(nginx_sys::NGX_CONF_NOARGS | nginx_sys::NGX_CONF_TAKE12)
    }
}

impl Place<Main> {
    /// Outside of all blocks.
    pub const MAIN: Self = Self::at(NGX_MAIN_CONF | nginx_sys::NGX_DIRECT_CONF);
}

impl Place<Application> {
    /// `rtmp`, `server` and `application`.
    pub const RTMP: Self = Self::RTMP_SERVER.and(rtmp_sys::NGX_RTMP_APP_CONF);
    /// `rtmp` and `server`.
    pub const RTMP_SERVER: Self = Self::at(rtmp_sys::NGX_RTMP_MAIN_CONF | rtmp_sys::NGX_RTMP_SRV_CONF);
    /// `application` alone.
    pub const APPLICATION: Self = Self::at(rtmp_sys::NGX_RTMP_APP_CONF);
}

impl Place<Location> {
    /// `http`, `server` and `location`.
    pub const HTTP: Self = Self::LOCATION.and(NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF);
    /// `location` alone.
    pub const LOCATION: Self = Self::at(NGX_HTTP_LOC_CONF);
}

/// One directive. It only parses and assigns.
pub trait Directive<M: Tables> {
    /// The block whose settings it writes to.
    type Block: Block<M>;
    /// Its name.
    const NAME: &'static CStr;
    /// The blocks that it may be in, and the number of its arguments.
    const PLACE: Place<Self::Block>;
    /// The errors of its arguments.
    type Error: Display;
    /// Reads the arguments. An error is logged with the directive's name, file and line.
    fn set(cx: &mut Context<'_, M, Self::Block>) -> Result<(), Self::Error>;
}

/// Returns a row of the command table of the core module.
#[doc(hidden)]
#[must_use]
pub const fn core_command<M: Tables, D: Directive<M, Block = Main>>() -> ngx_command_t {
    command::<M, D>(0)
}

/// Returns a row of the command table of the nginx-rtmp module.
#[doc(hidden)]
#[must_use]
pub const fn rtmp_command<M: Tables, D: Directive<M, Block = Application>>() -> ngx_command_t {
    command::<M, D>(std::mem::offset_of!(ngx_rtmp_conf_ctx_t, app_conf))
}

/// Returns a row of the command table of the HTTP module.
#[doc(hidden)]
#[must_use]
pub const fn http_command<M: Tables, D: Directive<M, Block = Location>>() -> ngx_command_t {
    command::<M, D>(std::mem::offset_of!(nginx_sys::ngx_http_conf_ctx_t, loc_conf))
}

const fn command<M: Tables, D: Directive<M>>(conf: usize) -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: D::NAME.to_bytes().len(), data: D::NAME.as_ptr().cast_mut().cast() },
        type_: D::PLACE.0,
        set: Some(set::<M, D>),
        conf,
        offset: 0,
        post: ptr::null_mut(),
    }
}

/// Returns the row that ends a command table.
#[doc(hidden)]
#[must_use]
pub const fn no_command() -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: 0, data: ptr::null_mut() },
        type_: 0,
        set: None,
        conf: 0,
        offset: 0,
        post: ptr::null_mut(),
    }
}

extern "C" fn set<M: Tables, D: Directive<M>>(
    cf: *mut ngx_conf_t,
    _cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    callback::guard("a directive", NGX_CONF_ERROR.cast(), || {
        // SAFETY: nginx calls with the configuration being read (ngx_conf_handler), which nobody else refers to.
        let cf = unsafe { &mut *cf };
        let outcome = D::set(&mut Context { cf, conf, directive: PhantomData });
        match outcome {
            Ok(()) => ptr::null_mut(),
            Err(message) => {
                let name = D::NAME.to_string_lossy();
                report(cf, Level::Emergency, &format!("\"{name}\": {message}"));
                NGX_CONF_ERROR.cast()
            }
        }
    })
}

/// Logs a line with the file and line that nginx is reading.
pub(super) fn report(cf: *mut ngx_conf_t, level: Level, message: &str) {
    // SAFETY: the configuration being read; length and text go together (`%*s`, ngx_vslprintf).
    unsafe { ngx_conf_log_error(level.number(), cf, 0, c"%*s".as_ptr(), message.len(), message.as_ptr()) }
}

/// The directive that nginx is reading: its arguments, and the allowed changes to the configuration.
pub struct Context<'c, M, B> {
    cf: &'c mut ngx_conf_t,
    /// The settings of the block.
    conf: *mut c_void,
    directive: PhantomData<(M, B)>,
}

impl<M: Tables, B: Block<M>> Context<'_, M, B> {
    /// Returns the configuration that nginx is reading.
    pub(super) fn reading(&self) -> &ngx_conf_t {
        self.cf
    }

    /// Returns the settings of the block, as nginx passed them.
    pub(super) fn settings_ptr(&mut self) -> *mut c_void {
        self.conf
    }

    /// Returns the settings of the block that the directive belongs to.
    pub fn settings(&mut self) -> &mut B::Settings {
        // SAFETY: ngx_conf_handler passed these settings to `set`, of the block that the directive's table names (`core_command`).
        // The borrow of the context keeps anybody from taking them a second time.
        unsafe { B::settings(self.conf) }
    }

    /// Returns the settings of the whole configuration.
    pub fn main(&mut self) -> &mut M::Main {
        // SAFETY: `cycle::create` made the settings in the pool of the same configuration, when nginx loaded the module (ngx_add_module, or
        // ngx_init_cycle for a module that is built in) and so before any directive of the module. The borrow of the context keeps anybody from taking them a second time.
        unsafe { &mut (*slots::main_slot::<M>((*self.cf.cycle).conf_ctx)).settings }
    }

    /// Returns the arguments after the name.
    pub fn arguments(&self) -> Result<Vec<&str>, ArgumentError> {
        // SAFETY: `args` holds the directive's words (ngx_conf_handler).
        let words = unsafe { collections::array::<ngx_str_t>(&*self.cf.args) };
        words.iter().skip(1).map(|word| text(word).ok_or(ArgumentError::NotText)).collect()
    }

    /// Returns the first argument.
    pub fn argument(&self) -> Result<&str, ArgumentError> {
        self.arguments()?.first().copied().ok_or(ArgumentError::Missing)
    }

    /// Returns the file and line of the directive, in nginx's form.
    pub fn place(&self) -> String {
        // SAFETY: the file being read, null only for `-g` (ngx_conf_param).
        match unsafe { self.cf.conf_file.as_ref() } {
            Some(file) => format!("{}:{}", text(&file.file.name).unwrap_or("?"), file.line),
            None => "command line".to_owned(),
        }
    }

    /// Returns the full path of a file name. A relative name is relative to the folder of the configuration (ngx_conf_full_name).
    pub fn path(&mut self, name: &str) -> Result<PathBuf, ArgumentError> {
        let mut full = self.copy(name).ok_or(ArgumentError::NoMemory)?;
        // SAFETY: the string is in the configuration's pool and ends with a NUL, as nginx's own do (ngx_conf_read_token).
        unsafe {
            if ngx_conf_full_name(self.cf.cycle, &mut full, 1) != nginx_sys::NGX_OK as ngx_int_t {
                return Err(ArgumentError::NoMemory);
            }
        }
        Ok(PathBuf::from(text(&full).ok_or(ArgumentError::PathNotText)?))
    }

    /// Reads a file of at most `limit` bytes at configuration time, as root if nginx starts as root.
    pub fn read(&mut self, name: &str, limit: u64) -> Result<(PathBuf, Vec<u8>), ArgumentError> {
        let path = self.path(name)?;
        match files::read_at_most(&path, limit) {
            Ok((bytes, _)) => Ok((path, bytes)),
            Err(error) => Err(ArgumentError::File { path, error }),
        }
    }

    /// Reads a file that holds a secret. Logs a warning if the file is world-readable.
    pub fn read_secret(&mut self, name: &str) -> Result<(PathBuf, Vec<u8>), ArgumentError> {
        let (path, bytes) = self.read(name, MAX_SECRET)?;
        let mode = std::fs::metadata(&path).map_or(0, |facts| facts.permissions().mode());
        if mode & 0o004 != 0 {
            let path = path.display();
            let line = format!("{}: {path} is world-readable; run chmod o= {path}", M::NAME);
            report(self.cf, Level::Warning, &line);
        }
        Ok((path, bytes))
    }

    /// Reads a size in bytes, with `k` or `m` (ngx_parse_size).
    pub fn size(&mut self, argument: &str) -> Result<usize, ArgumentError> {
        let mut word = self.copy(argument).ok_or(ArgumentError::NoMemory)?;
        // SAFETY: a string of the given length, which nginx reads no further (ngx_parse_size).
        let size = unsafe { nginx_sys::ngx_parse_size(&mut word) };
        usize::try_from(size).map_err(|_| ArgumentError::Size { found: argument.to_owned(), example: "4m" })
    }

    /// Reads a size in bytes that may be larger than memory, with `k`, `m` or `g` (ngx_parse_offset).
    pub fn offset(&mut self, argument: &str) -> Result<u64, ArgumentError> {
        let mut word = self.copy(argument).ok_or(ArgumentError::NoMemory)?;
        // SAFETY: a string of the given length, which nginx reads no further (ngx_parse_offset).
        let size = unsafe { nginx_sys::ngx_parse_offset(&mut word) };
        u64::try_from(size).map_err(|_| ArgumentError::Size { found: argument.to_owned(), example: "64m" })
    }

    /// Reads a time in milliseconds, with `s`, `m` and so on (ngx_parse_time).
    pub fn milliseconds(&mut self, argument: &str) -> Result<u64, ArgumentError> {
        let mut word = self.copy(argument).ok_or(ArgumentError::NoMemory)?;
        // SAFETY: a string of the given length, which nginx reads no further (ngx_parse_time).
        let time = unsafe { nginx_sys::ngx_parse_time(&mut word, 0) };
        u64::try_from(time).map_err(|_| ArgumentError::Time(argument.to_owned()))
    }

    /// Logs a warning with the place of the directive.
    pub fn warn(&mut self, message: &str) {
        report(self.cf, Level::Warning, message);
    }

    /// Sets the name servers from the arguments, with `valid=` and `ipv6=` (ngx_resolver_create).
    pub fn add_resolver(&mut self) -> Result<(), ArgumentError> {
        // SAFETY: as in `main`; `words` are the directive's, of which the first is its name.
        unsafe {
            let slot = slots::main_slot::<M>((*self.cf.cycle).conf_ctx);
            if !(*slot).resolver.is_null() {
                return Err(ArgumentError::Duplicate);
            }
            let words = collections::array_mut::<ngx_str_t>(&mut *self.cf.args);
            (*slot).resolver = resolver::create(self.cf, &mut words[1..]);
            // nginx has logged what is wrong.
            if (*slot).resolver.is_null() { Err(ArgumentError::Resolver) } else { Ok(()) }
        }
    }

    /// Checks the load order. Hooks into nginx-rtmp's chains wrap those of the modules that nginx loaded before, and nginx-rtmp must be one
    /// of these.
    fn check_load_order(&self) -> Result<(), AddZoneError> {
        let position = |wanted: &str| {
            let mut at = 0;
            loop {
                // SAFETY: a table that ends with null (ngx_cycle_modules).
                let module = unsafe { (*(*self.cf.cycle).modules.add(at)).as_ref() }?;
                // SAFETY: every module of the table has a name (ngx_preinit_modules, ngx_add_module).
                if unsafe { CStr::from_ptr(module.name) }.to_bytes() == wanted.as_bytes() {
                    return Some(at);
                }
                at += 1;
            }
        };
        let own = M::RTMP_NAME;
        match (position("ngx_rtmp_core_module"), position(own)) {
            (Some(rtmp), Some(ours)) if rtmp < ours => Ok(()),
            _ => Err(AddZoneError::LoadOrder { own }),
        }
    }

    fn copy(&mut self, text: &str) -> Option<ngx_str_t> {
        // SAFETY: the pool of the configuration; one byte more than asked for, for the NUL that nginx's own
        // words have (ngx_conf_read_token).
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

impl<M: Tables + ZoneOwner, B: Block<M>> Context<'_, M, B> {
    /// Checks that the modules fit together, and asks nginx for the zone and the thread pools.
    pub fn add_zone(&mut self, size: usize) -> Result<(), AddZoneError> {
        rtmp_sys::check(M::RTMP_NAME)?;
        self.check_load_order()?;
        thread::add_pools(self.cf, M::POOLS)?;
        Ok(zone::add::<M>(self.cf, size)?)
    }
}

impl<M: Tables> Context<'_, M, Application> {
    /// Returns the name of the application that nginx is reading.
    pub fn application(&self) -> Result<String, ArgumentError> {
        let rtmp = rtmp_sys::rtmp().ok_or(ArgumentError::NoRtmp)?;
        // SAFETY: inside of an application, `ctx` is that of nginx-rtmp (ngx_rtmp_core_application).
        let name = unsafe {
            let ctx = &*self.cf.ctx.cast::<ngx_rtmp_conf_ctx_t>();
            let app = *ctx.app_conf.add((*rtmp.ngx_rtmp_core_module).ctx_index);
            (*app.cast::<ngx_rtmp_core_app_conf_t>()).name
        };
        text(&name).map(str::to_owned).ok_or(ArgumentError::ApplicationNotText)
    }
}

impl<M: Tables> Context<'_, M, Location> {
    /// Compiles a value with variables.
    pub fn value(&mut self, text: &str) -> Result<Value, ArgumentError> {
        let text = self.copy(text).ok_or(ArgumentError::NoMemory)?;
        // SAFETY: the configuration being read, in whose pool the copy lives (ngx_http_compile_complex_value). The same pool drops the
        // slot of `cycle::create`, in which `existence` is (ngx_destroy_pool).
        unsafe {
            let slot = slots::main_slot::<M>((*self.cf.cycle).conf_ctx);
            Value::compile(self.cf, text, &(*slot).existence)
        }
        .ok_or(ArgumentError::Value)
    }
}
