//! What nginx-rtmp writes to disk: found, stopped and let go on again.
//!
//! HLS and DASH ask a flag of their application's settings with every frame, and close a stream's files only
//! while it is set; a recorder closes its file when its flags say `off`, and begins another when they do
//! not. So an application stops writing by these flags, in this worker, and goes on by them.

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

use nginx_sys::{ngx_flag_t, ngx_module_t, ngx_str_t};

use super::{
    collections, commands, conf,
    module::Module,
    rtmp_sys::{
        self, NGX_RTMP_RECORD_OFF, Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_srv_conf_t,
        ngx_rtmp_record_app_conf_t,
    },
};
use crate::local;

/// What DASH may need to finish a stream: it copies the last fragment of each track, 10 MB at most
/// (NGX_RTMP_DASH_MAX_MDAT), and goes round for ever where the copy falls short.
const DASH_FINISHES: u64 = 24 << 20;

/// An application that writes files.
struct Writer {
    facts: Facts,
    /// Whose application it is: compared and never looked behind.
    settings: *const (),
    /// When a frame last had the disk looked at.
    looked_ms: u64,
    /// `hls` and `dash`, where they are on.
    flags: Vec<*mut ngx_flag_t>,
    /// `dash` alone, with its folder.
    dash: Option<(*mut ngx_flag_t, PathBuf)>,
    recorders: Vec<*mut ngx_rtmp_record_app_conf_t>,
    stopped: bool,
}

/// What is known of an application that writes files.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its name.
    pub app: String,
    /// Its folders.
    pub paths: Vec<PathBuf>,
    /// What the module asks of its disks, in bytes, where the configuration says it.
    pub min_free: Option<u64>,
}

#[derive(Default)]
struct Writers {
    all: Vec<Writer>,
    stopped: usize,
    /// Calls of [`with_writers`] that are under way.
    depth: usize,
}

local! {
    static WRITERS: Writers = Writers { all: Vec::new(), stopped: 0, depth: 0 };
}

/// Finds the applications that write, in the configuration that is about to run.
pub(super) fn find<M: Module>() {
    let found = rtmp_sys::rtmp().map(|rtmp| {
        // SAFETY: the main configuration of the cycle that takes over, null without an rtmp block.
        let core = unsafe { (*rtmp.ngx_rtmp_core_main_conf).as_ref() };
        // SAFETY: both arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application).
        let apps = core.into_iter().flat_map(|core| unsafe {
            collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers).iter().flat_map(|server| {
                collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**server).applications)
            })
        });
        // SAFETY: an application of this configuration.
        apps.filter_map(|app| unsafe { writer::<M>(&rtmp, &**app) }).collect()
    });
    // In a single process, what an earlier configuration stopped goes on.
    stop(|_, _| false);
    WRITERS.with(|writers| *writers = Writers { all: found.unwrap_or_default(), stopped: 0, depth: 0 });
}

/// # Safety
///
/// `app` is an application of a configuration that was read completely.
unsafe fn writer<M: Module>(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Option<Writer> {
    // SAFETY: by contract; each entry of `app_conf` is the settings of a module.
    unsafe {
        let settings: &M::App = conf::entry(app.app_conf, M::rtmp_module())?;
        let Watch::For { min_free } = M::watch_files(settings) else { return None };
        let mut writer = Writer {
            facts: Facts {
                app: conf::text(&app.name).unwrap_or("?").to_owned(),
                paths: Vec::new(),
                min_free,
            },
            settings: ptr::from_ref(settings).cast(),
            looked_ms: 0,
            flags: Vec::new(),
            dash: None,
            recorders: Vec::new(),
            stopped: false,
        };
        let (hls, dash) = (rtmp.ngx_rtmp_hls_module, rtmp.ngx_rtmp_dash_module);
        for (module, flag, path) in [(hls, "hls", "hls_path"), (dash, "dash", "dash_path")] {
            let flag: Option<*mut ngx_flag_t> = setting(app, module, flag);
            let path: Option<*mut ngx_str_t> = setting(app, module, path);
            if let (Some(flag), Some(path)) = (flag, path.and_then(|path| conf::text(&*path)))
                && *flag == 1
                && !path.is_empty()
            {
                writer.flags.push(flag);
                if ptr::eq(module, dash) {
                    writer.dash = Some((flag, PathBuf::from(path)));
                }
                writer.facts.paths.push(PathBuf::from(path));
            }
        }
        let record: Option<&ngx_rtmp_record_app_conf_t> =
            conf::entry(app.app_conf, rtmp.ngx_rtmp_record_module);
        for recorder in record
            .into_iter()
            .flat_map(|record| collections::array::<*mut ngx_rtmp_record_app_conf_t>(&record.rec))
        {
            if (**recorder).flags & NGX_RTMP_RECORD_OFF as usize == 0 {
                writer.recorders.push(*recorder);
                writer.facts.paths.extend(conf::text(&(**recorder).path).map(PathBuf::from));
            }
        }
        (!writer.facts.paths.is_empty()).then_some(writer)
    }
}

/// Where a directive of a module writes to in an application's settings.
///
/// # Safety
///
/// As for `writer`; the directive's setting is a `T`.
pub(super) unsafe fn setting<T>(
    app: &ngx_rtmp_core_app_conf_t,
    module: *const ngx_module_t,
    directive: &str,
) -> Option<*mut T> {
    // SAFETY: by contract.
    unsafe {
        let offset = commands::offset(module, directive)?;
        let settings = (*app.app_conf.add((*module).ctx_index)).cast::<u8>();
        (!settings.is_null()).then(|| settings.add(offset).cast())
    }
}

/// The applications that write.
#[must_use]
pub fn writers() -> Vec<Facts> {
    WRITERS.with(|writers| writers.all.iter().map(|writer| writer.facts.clone()).collect())
}

/// An application that goes on writing where too little is free. Asked with each frame that it is about to
/// write, and looked at once a millisecond: nginx-rtmp waits for that disk too, in a moment.
pub fn short_of_space<A>(
    settings: &A,
    now_ms: u64,
    is_short: impl Fn(Space, Option<u64>) -> bool,
) -> Option<Facts> {
    WRITERS.with(|writers| {
        let mut all = writers.all.iter_mut();
        let writer = all.find(|writer| ptr::eq(writer.settings, ptr::from_ref(settings).cast()))?;
        if writer.stopped || writer.looked_ms == now_ms {
            return None;
        }
        writer.looked_ms = now_ms;
        let mut spaces = writer.facts.paths.iter().filter_map(|path| space(path));
        let min_free = writer.facts.min_free;
        spaces.any(|space| is_short(space, min_free)).then(|| writer.facts.clone())
    })
}

/// The applications that have stopped writing.
#[must_use]
pub fn stopped() -> Vec<Facts> {
    let stopped = |writers: &mut Writers| {
        writers.all.iter().filter(|writer| writer.stopped).map(|writer| writer.facts.clone()).collect()
    };
    WRITERS.with(stopped)
}

/// Stops the applications for which `wanted` says so, given whether they are stopped now, and lets the others
/// go on. Returns those that changed, with what they do now.
pub fn stop(wanted: impl Fn(&Facts, bool) -> bool) -> Vec<(Facts, bool)> {
    WRITERS.with(|writers| {
        let mut changed = Vec::new();
        for writer in &mut writers.all {
            let stop = wanted(&writer.facts, writer.stopped);
            if stop != writer.stopped {
                writer.stopped = stop;
                writer.apply(stop);
                changed.push((writer.facts.clone(), stop));
            }
        }
        writers.stopped = writers.all.iter().filter(|writer| writer.stopped).count();
        changed
    })
}

impl Writer {
    fn apply(&self, stop: bool) {
        self.set_flags(!stop);
        for recorder in &self.recorders {
            // SAFETY: settings of the running configuration, touched by this thread alone.
            let flags = unsafe { &mut (**recorder).flags };
            *flags = *flags & !(NGX_RTMP_RECORD_OFF as usize)
                | if stop { NGX_RTMP_RECORD_OFF as usize } else { 0 };
        }
    }

    fn set_flags(&self, on: bool) {
        for flag in &self.flags {
            // SAFETY: as in `apply`.
            unsafe { **flag = ngx_flag_t::from(on) };
        }
    }

    /// Where the last fragments would not fit, DASH is left as it is: with its files open.
    fn leave_dash(&self) {
        if let Some((flag, folder)) = &self.dash
            && space(folder).is_none_or(|space| space.free < DASH_FINISHES)
        {
            // SAFETY: as in `apply`.
            unsafe { **flag = 0 };
        }
    }
}

/// What is done to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// It begins.
    Begin,
    /// It ends.
    End,
}

/// Begins or ends a stream: HLS and DASH make and close their files for it, even where they have stopped.
pub(super) fn with_writers<R>(act: Act, call: impl FnOnce() -> R) -> R {
    if WRITERS.with(|writers| writers.stopped == 0) {
        return call();
    }
    let set = |on: bool| {
        WRITERS.with(|writers| {
            writers.depth = if on { writers.depth + 1 } else { writers.depth.saturating_sub(1) };
            for writer in writers.all.iter().filter(|writer| writer.stopped) {
                writer.set_flags(writers.depth > 0);
                if act == Act::End {
                    writer.leave_dash();
                }
            }
        });
    };
    set(true);
    let outcome = call();
    set(false);
    outcome
}

/// Whether the files of an application are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nobody asks for them.
    No,
    /// They are found and can be stopped.
    For {
        /// What must stay free, in bytes, where the configuration says it.
        min_free: Option<u64>,
    },
}

/// What there is of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for those who are not root.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// The file system where a folder is, or will be. May block: for a thread.
#[must_use]
pub fn space(folder: &Path) -> Option<Space> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let path = CString::new(there.as_os_str().as_bytes()).ok()?;
    // SAFETY: a path that ends with a NUL, and a plain structure to fill.
    unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        let known = libc::statvfs(path.as_ptr(), &raw mut facts) == 0;
        known.then(|| Space {
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
            total: facts.f_blocks.saturating_mul(facts.f_frsize),
        })
    }
}
