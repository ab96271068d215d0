//! The `server` blocks of a configuration: read when it is complete, and told to the settings of their applications.

use std::{
    path::{Component, Path},
    ptr,
};

use nginx_sys::{ngx_flag_t, ngx_module_t, ngx_str_t};
use weir_model::{Digest, Server, ServerAddr, server::ServerBlock};

use super::{
    address, collections, conf, disk, export,
    rtmp_sys::{
        Rtmp, ngx_rtmp_conf_ctx_t, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_main_conf_t,
        ngx_rtmp_core_srv_conf_t, ngx_rtmp_listen_t,
    },
};
use crate::settings::AppSettings;

/// Reads the `server` blocks, and tells each application's settings which block is theirs and which folders HLS and DASH
/// write to.
///
/// # Safety
///
/// `core` is the main configuration of nginx-rtmp's core module, whose `server` blocks have been read and merged.
pub(super) unsafe fn describe(
    rtmp: &Rtmp,
    core: &ngx_rtmp_core_main_conf_t,
) -> Vec<(conf::BlockMark, ServerBlock)> {
    // SAFETY: the arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application), or what `listen` said
    // (ngx_rtmp_core_listen); our entry in a table of application settings is an `AppSettings` (`export`), to which nothing
    // else refers while a configuration is being read.
    unsafe {
        let listen = collections::array::<ngx_rtmp_listen_t>(&core.listen);
        let blocks = collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers);
        let block = |block: &*mut ngx_rtmp_core_srv_conf_t| {
            let ctx = (**block).ctx;
            let server = addresses(listen, ctx);
            assign(&(*ctx), &server);
            let apps = collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**block).applications);
            for app in apps {
                if let Some(settings) = settings((**app).app_conf) {
                    settings.server = server.clone();
                    settings.folders = folders(rtmp, &**app);
                }
            }
            let names = apps.iter().filter_map(|app| conf::text(&(**app).name).map(str::to_owned));
            let mark = conf::BlockMark((*ctx).srv_conf.addr());
            (mark, ServerBlock { server, applications: names.collect() })
        };
        blocks.iter().map(block).collect()
    }
}

/// # Safety
///
/// `ctx` is the context of a `server` block.
unsafe fn assign(ctx: &ngx_rtmp_conf_ctx_t, server: &Server) {
    // SAFETY: by contract.
    if let Some(settings) = unsafe { settings(ctx.app_conf) } {
        settings.server = server.clone();
    }
}

/// # Safety
///
/// `table` is null or a table of application settings of a configuration that is being read.
unsafe fn settings<'a>(table: *mut *mut std::ffi::c_void) -> Option<&'a mut AppSettings> {
    // SAFETY: by contract; see `conf::entry`.
    unsafe {
        table.as_ref()?;
        (*table.add((*export::rtmp_module()).ctx_index)).cast::<AppSettings>().as_mut()
    }
}

/// # Safety
///
/// `listen` is what the `listen` lines said, with sockets' addresses in it.
unsafe fn addresses(listen: &[ngx_rtmp_listen_t], ctx: *mut ngx_rtmp_conf_ctx_t) -> Server {
    let own = listen.iter().filter(|socket| ptr::eq(socket.ctx, ctx));
    // SAFETY: by contract; nginx has checked the length (ngx_parse_url).
    Server::new(own.filter_map(|socket| unsafe { of_socket(socket) }))
}

/// # Safety
///
/// As for `addresses`.
unsafe fn of_socket(socket: &ngx_rtmp_listen_t) -> Option<ServerAddr> {
    let bytes = &socket.sockaddr;
    // SAFETY: a copy of an address of any family, which is long enough for each of them and aligned.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let length = bytes.len().min(size_of::<libc::sockaddr_storage>());
        ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut storage).cast::<u8>(), length);
        if i32::from(storage.ss_family) == libc::AF_UNIX {
            let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
            return bytes.get(path..).map(ServerAddr::of_unix);
        }
        address::read((&raw const storage).cast()).map(ServerAddr::of_socket)
    }
}

/// The folders that HLS and DASH write an application's streams to, each as a number that every process has for it.
///
/// # Safety
///
/// `app` is an application of a configuration that was read completely.
unsafe fn folders(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Vec<u64> {
    let writers: [(*const ngx_module_t, &str, &str); 2] =
        [(rtmp.ngx_rtmp_hls_module, "hls", "hls_path"), (rtmp.ngx_rtmp_dash_module, "dash", "dash_path")];
    let folder = |(module, flag, path): (*const ngx_module_t, &str, &str)| {
        // SAFETY: by contract; these directives set a flag and a string.
        let (flag, folder) = unsafe {
            let written = disk::setting::<ngx_flag_t>(app, module, flag)?;
            (*written, conf::text(&*disk::setting::<ngx_str_t>(app, module, path)?)?)
        };
        (flag == 1 && !folder.is_empty()).then(|| number(path, Path::new(folder)))
    };
    writers.into_iter().filter_map(folder).collect()
}

/// Slashes at the end and dots make no other folder.
fn number(kind: &str, folder: &Path) -> u64 {
    let parts: Vec<_> = folder.components().filter(|part| *part != Component::CurDir).collect();
    let text = format!("{kind} {}", parts.iter().collect::<std::path::PathBuf>().display());
    Digest::of(text.as_bytes()).bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
