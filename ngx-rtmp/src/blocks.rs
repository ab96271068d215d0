//! The `server` blocks of a configuration, read once nginx has parsed them.

use std::{net::SocketAddr, path::PathBuf, ptr};

use nginx_sys::{ngx_flag_t, ngx_module_t, ngx_str_t};

use super::{
    address, collections,
    conf::{self, Context},
    disk, explicit,
    neighbours::{self, AccessRule, Exec},
    rtmp_sys::{
        Rtmp, ngx_rtmp_conf_ctx_t, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_main_conf_t,
        ngx_rtmp_core_srv_conf_t, ngx_rtmp_listen_t, ngx_rtmp_live_app_conf_t, ngx_rtmp_play_app_conf_t,
    },
    slots,
    types::{Tables, Types},
};

/// Identifies a `server` block among the others of a configuration while nginx reads the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMark(usize);

impl<M: Tables> Context<'_, M, conf::Application> {
    /// Returns the mark of the `server` block that nginx is reading.
    pub fn server_block(&self) -> BlockMark {
        // SAFETY: inside of an application, `ctx` is that of nginx-rtmp (ngx_rtmp_core_application), which has the settings of
        // the `server` block around it.
        BlockMark(unsafe { (*self.reading().ctx.cast::<ngx_rtmp_conf_ctx_t>()).srv_conf.addr() })
    }
}

/// A place that a `server` block listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Socket(SocketAddr),
    /// A unix socket: its path, padded with zeros.
    Unix(Vec<u8>),
}

/// A `server` block.
pub struct Block<'c, M: Types> {
    /// The mark that directives within the block have noted.
    pub mark: BlockMark,
    /// The sockets of its `listen` lines, in their order.
    pub listen: Vec<Listen>,
    /// `timeout`, in milliseconds.
    pub timeout_ms: u64,
    /// The settings for clients that have not named an application.
    pub defaults: Option<Settings<'c, M>>,
    /// Its applications, in their order.
    pub applications: Vec<Application<'c, M>>,
}

/// The settings of an application, and the neighbouring settings in force there.
pub struct Settings<'c, M: Types> {
    /// The module's own settings.
    pub own: &'c mut M::App,
    /// `drop_idle_publisher`, in milliseconds, 0 for `off`; `None` without the directive.
    pub idle_publisher_ms: Option<u64>,
}

/// An application of a block.
pub struct Application<'c, M: Types> {
    /// Its name, if it is valid UTF-8.
    pub name: Option<&'c str>,
    /// Whether it serves live streams (`live on`).
    pub live: bool,
    /// Whether it plays files (`play`).
    pub files: bool,
    /// The settings in force there.
    pub settings: Option<Settings<'c, M>>,
    /// The folders that HLS and DASH write to, each with the directive that names it.
    pub folders: Vec<(&'static str, PathBuf)>,
    /// The arguments of its `exec` lines.
    pub exec: Exec,
    /// Its `allow` and `deny` lines, in their order.
    pub access: Vec<AccessRule>,
}

/// nginx-rtmp's default of `timeout`, in milliseconds (ngx_rtmp_core_merge_srv_conf).
pub const USUAL_TIMEOUT_MS: u64 = 60_000;

/// Reads the `server` blocks.
///
/// # Safety
///
/// `core` is the main configuration of nginx-rtmp's core module, whose `server` blocks have been read and merged, and
/// nobody else refers to settings of this module for as long as the result is used.
pub(super) unsafe fn describe<'c, M: Tables>(
    rtmp: &Rtmp,
    core: &'c ngx_rtmp_core_main_conf_t,
) -> Vec<Block<'c, M>> {
    // SAFETY: the arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application), or what `listen` said
    // (ngx_rtmp_core_listen). Each block and each application has settings of its own (`create_in_conf`).
    unsafe {
        let listen = collections::array::<ngx_rtmp_listen_t>(&core.listen);
        let blocks = collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers);
        let block = |block: &*mut ngx_rtmp_core_srv_conf_t| {
            let ctx = (**block).ctx;
            let apps = collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**block).applications);
            Block {
                mark: BlockMark((*ctx).srv_conf.addr()),
                listen: addresses(listen, ctx),
                timeout_ms: (**block).timeout as u64,
                defaults: settings::<M>(rtmp, (*ctx).app_conf),
                applications: apps.iter().map(|app| application::<M>(rtmp, &**app)).collect(),
            }
        };
        blocks.iter().map(block).collect()
    }
}

/// # Safety
///
/// As for `describe`; the application is one of a block.
unsafe fn application<'c, M: Tables>(rtmp: &Rtmp, app: &'c ngx_rtmp_core_app_conf_t) -> Application<'c, M> {
    // SAFETY: by contract; the entries of the live and the play module are their own (ngx_rtmp_live_create_app_conf,
    // ngx_rtmp_play_create_app_conf).
    unsafe {
        let live: Option<&ngx_rtmp_live_app_conf_t> = slots::entry(app.app_conf, rtmp.ngx_rtmp_live_module);
        let play: Option<&ngx_rtmp_play_app_conf_t> = slots::entry(app.app_conf, rtmp.ngx_rtmp_play_module);
        Application {
            name: collections::text(&app.name),
            live: live.is_some_and(|live| live.live == 1),
            files: play.is_some_and(|play| play.entries.nelts > 0),
            settings: settings::<M>(rtmp, app.app_conf),
            folders: folders(rtmp, app),
            exec: neighbours::exec(rtmp, app),
            access: neighbours::access(rtmp, app),
        }
    }
}

/// # Safety
///
/// `table` is null or a table of application settings of a configuration that is being read.
unsafe fn settings<'c, M: Tables>(rtmp: &Rtmp, table: *mut *mut std::ffi::c_void) -> Option<Settings<'c, M>> {
    // SAFETY: by contract; each entry is the settings of a module, ours an `M::App` (`export::rtmp_context`), to which nobody else
    // refers until the configuration has been read.
    unsafe {
        table.as_ref()?;
        let own = (*table.add((*M::rtmp_module()).ctx_index)).cast::<M::App>().as_mut()?;
        let live = *table.add((*rtmp.ngx_rtmp_live_module).ctx_index);
        let live = live.cast::<ngx_rtmp_live_app_conf_t>().as_mut();
        Some(Settings {
            own,
            idle_publisher_ms: live.and_then(|live| explicit::take(&mut live.idle_timeout)),
        })
    }
}

/// # Safety
///
/// `listen` is what the `listen` lines said, with sockets' addresses in it.
unsafe fn addresses(listen: &[ngx_rtmp_listen_t], ctx: *mut ngx_rtmp_conf_ctx_t) -> Vec<Listen> {
    let own = listen.iter().filter(|socket| ptr::eq(socket.ctx, ctx));
    // SAFETY: by contract; nginx has checked the length (ngx_parse_url).
    own.filter_map(|socket| unsafe { of_socket(socket) }).collect()
}

/// # Safety
///
/// As for `addresses`.
unsafe fn of_socket(socket: &ngx_rtmp_listen_t) -> Option<Listen> {
    let bytes = &socket.sockaddr;
    // SAFETY: a copy of the bytes of an address (ngx_rtmp_core_listen), in storage that is aligned and long enough for any family.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let length = bytes.len().min(size_of::<libc::sockaddr_storage>());
        ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut storage).cast::<u8>(), length);
        if i32::from(storage.ss_family) == libc::AF_UNIX {
            let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
            return bytes.get(path..).map(|path| Listen::Unix(path.to_vec()));
        }
        address::read((&raw const storage).cast()).map(Listen::Socket)
    }
}

/// Returns the folders that HLS and DASH write an application's streams to.
///
/// # Safety
///
/// `app` is an application of a configuration that was read completely.
unsafe fn folders(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Vec<(&'static str, PathBuf)> {
    let writers: [(*const ngx_module_t, &str, &'static str); 2] =
        [(rtmp.ngx_rtmp_hls_module, "hls", "hls_path"), (rtmp.ngx_rtmp_dash_module, "dash", "dash_path")];
    let folder = |(module, flag, path): (*const ngx_module_t, &str, &'static str)| {
        // SAFETY: by contract; these directives set a flag and a string.
        let (flag, folder) = unsafe {
            let written = disk::setting::<ngx_flag_t>(app, module, flag)?;
            (*written, collections::text(&*disk::setting::<ngx_str_t>(app, module, path)?)?)
        };
        (flag == 1 && !folder.is_empty()).then(|| (path, PathBuf::from(folder)))
    };
    writers.into_iter().filter_map(folder).collect()
}
