//! The files that nginx-rtmp writes: finds their writers, stops them and lets them resume.
//!
//! HLS and DASH read a flag of their application's settings with every frame, and close a stream's files only while it is set. A recorder
//! closes its file when its flags say `off`, and begins another file when they do not. So the fence stops and resumes an application's
//! writing through these flags, in this worker.

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

use nginx_sys::{ngx_flag_t, ngx_module_t, ngx_str_t};

use super::{
    collections, commands,
    rtmp_sys::{
        self, NGX_RTMP_RECORD_AUDIO, NGX_RTMP_RECORD_KEYFRAMES, NGX_RTMP_RECORD_MANUAL, NGX_RTMP_RECORD_OFF,
        NGX_RTMP_RECORD_VIDEO, Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_srv_conf_t,
        ngx_rtmp_record_app_conf_t,
    },
    slots,
    types::{Tables, Types},
};
use crate::local;

/// Callbacks for the files that nginx-rtmp writes for a module's applications.
pub trait Files: Types {
    /// Returns whether the fence finds the writers of an application, so that [`stop`] can stop them.
    fn watch_files(app: &Self::App) -> Watch;
}

/// Bytes that DASH may need to finish a stream. DASH copies the last fragment of each track, 10 MB at most (NGX_RTMP_DASH_MAX_MDAT), and
/// loops forever if the copy is incomplete.
pub const DASH_FINISHES: u64 = 24 << 20;

/// An application that writes files.
struct Writer {
    facts: Facts,
    /// The application's settings, an identity that is only compared and never dereferenced.
    settings: *const (),
    /// The flags `hls` and `dash`, if they are on.
    flags: Vec<*mut ngx_flag_t>,
    /// The flag `dash`.
    dash: Option<*mut ngx_flag_t>,
    /// Whether the last fragments of DASH would not fit.
    leaves_dash: bool,
    /// Each recorder with its configured flags.
    recorders: Vec<(*mut ngx_rtmp_record_app_conf_t, usize)>,
    stopped: Option<Stop>,
}

/// How an application stops writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// There is too little free space: the application finishes its files.
    Full,
    /// A file system does not answer: the application leaves its files as they are.
    Silent,
}

/// Facts about an application that writes files.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its index in the list of applications that write.
    pub place: usize,
    /// Its name.
    pub app: String,
    /// Its folders.
    pub paths: Vec<PathBuf>,
    /// The folder of DASH, one of `paths`.
    pub dash: Option<PathBuf>,
    /// The free space that the module requires on its disks, in bytes, if the configuration sets it.
    pub min_free: Option<u64>,
}

#[derive(Default)]
struct Writers {
    /// Number of the configuration that the writers belong to.
    number: u64,
    all: Vec<Writer>,
    /// Number of writers that are stopped because of too little free space.
    stopped: usize,
    /// Number of running calls of [`with_writers`].
    depth: usize,
}

local! {
    static WRITERS: Writers = Writers { number: 0, all: Vec::new(), stopped: 0, depth: 0 };
}

/// Finds the applications that write, in the configuration that takes effect.
pub(super) fn find<M: Tables + Files>() {
    let found = rtmp_sys::rtmp().map(|rtmp| {
        // SAFETY: the main configuration of the cycle that takes over, null without an rtmp block (ngx_rtmp_block).
        let core = unsafe { (*rtmp.ngx_rtmp_core_main_conf).as_ref() };
        // SAFETY: both arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application).
        let apps = core.into_iter().flat_map(|core| unsafe {
            collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers).iter().flat_map(|server| {
                collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**server).applications)
            })
        });
        // SAFETY: an application of this configuration (ngx_rtmp_core_application).
        apps.filter_map(|app| unsafe { writer::<M>(&rtmp, &**app) }).collect()
    });
    // In a single process, writers that an earlier configuration stopped resume.
    stop(|_, _| None);
    let mut all: Vec<Writer> = found.unwrap_or_default();
    for (place, writer) in all.iter_mut().enumerate() {
        writer.facts.place = place;
    }
    WRITERS.with(|writers| *writers = Writers { number: writers.number + 1, all, stopped: 0, depth: 0 });
}

/// # Safety
///
/// `app` is an application of a configuration that was read completely.
unsafe fn writer<M: Tables + Files>(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Option<Writer> {
    // SAFETY: by contract; each entry of `app_conf` is the settings of a module.
    unsafe {
        let settings: &M::App = slots::entry(app.app_conf, M::rtmp_module())?;
        let Watch::For { min_free } = M::watch_files(settings) else { return None };
        let mut writer = Writer {
            facts: Facts {
                place: 0,
                app: collections::text(&app.name).unwrap_or("?").to_owned(),
                paths: Vec::new(),
                dash: None,
                min_free,
            },
            settings: ptr::from_ref(settings).cast(),
            flags: Vec::new(),
            dash: None,
            recorders: Vec::new(),
            leaves_dash: true,
            stopped: None,
        };
        let (hls, dash) = (rtmp.ngx_rtmp_hls_module, rtmp.ngx_rtmp_dash_module);
        for (module, flag, path) in [(hls, "hls", "hls_path"), (dash, "dash", "dash_path")] {
            let flag: Option<*mut ngx_flag_t> = setting(app, module, flag);
            let path: Option<*mut ngx_str_t> = setting(app, module, path);
            if let (Some(flag), Some(path)) = (flag, path.and_then(|path| collections::text(&*path)))
                && *flag == 1
                && !path.is_empty()
            {
                writer.flags.push(flag);
                if ptr::eq(module, dash) {
                    writer.dash = Some(flag);
                    writer.facts.dash = Some(PathBuf::from(path));
                }
                writer.facts.paths.push(PathBuf::from(path));
            }
        }
        let record: Option<&ngx_rtmp_record_app_conf_t> =
            slots::entry(app.app_conf, rtmp.ngx_rtmp_record_module);
        for recorder in record
            .into_iter()
            .flat_map(|record| collections::array::<*mut ngx_rtmp_record_app_conf_t>(&record.rec))
        {
            if (**recorder).flags & NGX_RTMP_RECORD_OFF as usize == 0 {
                writer.recorders.push((*recorder, (**recorder).flags));
                writer.facts.paths.extend(collections::text(&(**recorder).path).map(PathBuf::from));
            }
        }
        (!writer.facts.paths.is_empty()).then_some(writer)
    }
}

/// Returns the setting of an application that a module's directive writes to.
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

/// Returns the applications that write.
#[must_use]
pub fn writers() -> Vec<Facts> {
    WRITERS.with(|writers| writers.all.iter().map(|writer| writer.facts.clone()).collect())
}

/// Returns the number of the configuration that these applications belong to.
#[must_use]
pub fn number() -> u64 {
    WRITERS.with(|writers| writers.number)
}

/// Returns the index of the application with these settings, if it writes and is not stopped. Called for each frame, before the application
/// writes the frame.
#[must_use]
pub fn writing<A>(settings: &A) -> Option<usize> {
    let settings = ptr::from_ref(settings).cast();
    WRITERS.with(|writers| {
        let place = writers.all.iter().position(|writer| ptr::eq(writer.settings, settings))?;
        writers.all[place].stopped.is_none().then_some(place)
    })
}

/// Returns the applications that are stopped, and how.
#[must_use]
pub fn stopped() -> Vec<(Facts, Stop)> {
    let stopped = |writers: &mut Writers| {
        writers.all.iter().filter_map(|writer| Some((writer.facts.clone(), writer.stopped?))).collect()
    };
    WRITERS.with(stopped)
}

/// Stops the applications for which `wanted` returns a [`Stop`], given their present state, and lets the others resume. Returns the
/// applications that changed.
pub fn stop(wanted: impl Fn(&Facts, Option<Stop>) -> Option<Stop>) -> Vec<(Facts, Option<Stop>)> {
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
        writers.stopped = writers.all.iter().filter(|writer| writer.stopped == Some(Stop::Full)).count();
        changed
    })
}

/// Notes the applications for which the last fragments of DASH would not fit ([`DASH_FINISHES`]).
pub fn leave_dash(wanted: impl Fn(&Facts) -> bool) {
    WRITERS.with(|writers| {
        for writer in writers.all.iter_mut().filter(|writer| writer.dash.is_some()) {
            writer.leaves_dash = wanted(&writer.facts);
        }
    });
}

impl Writer {
    fn apply(&self, stop: Option<Stop>) {
        self.set_flags(stop.is_none());
        for (recorder, configured) in &self.recorders {
            // A recorder that is off closes its file, which would block forever if the file system does not answer. A recorder that records
            // neither audio nor video, and does not begin by itself, leaves its file as it is (ngx_rtmp_record_node_av).
            let (add, take) = match stop {
                None => (0, 0),
                Some(Stop::Full) => (NGX_RTMP_RECORD_OFF, 0),
                Some(Stop::Silent) => (
                    NGX_RTMP_RECORD_MANUAL,
                    NGX_RTMP_RECORD_AUDIO | NGX_RTMP_RECORD_VIDEO | NGX_RTMP_RECORD_KEYFRAMES,
                ),
            };
            // SAFETY: settings of the running configuration, touched by this thread alone (ngx_rtmp_record_node_av).
            unsafe { (**recorder).flags = configured & !(take as usize) | add as usize };
        }
    }

    fn set_flags(&self, on: bool) {
        for flag in &self.flags {
            // SAFETY: as in `apply`.
            unsafe { **flag = ngx_flag_t::from(on) };
        }
    }

    /// If the last fragments would not fit, turns DASH off, so that it leaves its files open.
    fn leave_dash(&self) {
        if let Some(flag) = self.dash.filter(|_| self.leaves_dash) {
            // SAFETY: as in `apply`.
            unsafe { *flag = 0 };
        }
    }
}

/// A change of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The stream begins.
    Begin,
    /// The stream ends.
    End,
}

/// Begins or ends a stream. HLS and DASH create and close its files, even if they are stopped because of too little free space. They leave
/// a file system that does not answer alone.
pub(super) fn with_writers<R>(act: Act, call: impl FnOnce() -> R) -> R {
    if WRITERS.with(|writers| writers.stopped == 0) {
        return call();
    }
    let set = |on: bool| {
        WRITERS.with(|writers| {
            writers.depth = if on { writers.depth + 1 } else { writers.depth.saturating_sub(1) };
            for writer in writers.all.iter().filter(|writer| writer.stopped == Some(Stop::Full)) {
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

/// Whether the fence watches the files of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The module does not need them.
    No,
    /// The fence finds the writers and can stop them.
    For {
        /// Bytes that must stay free, if the configuration sets them.
        min_free: Option<u64>,
    },
}

/// The size of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are free for users other than root.
    pub free: u64,
    /// All bytes.
    pub total: u64,
}

/// Returns the size of the file system where a folder is, or will be. Blocks while the file system does not answer, so it belongs on a
/// thread.
#[must_use]
pub fn space(folder: &Path) -> Option<Space> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let path = CString::new(there.as_os_str().as_bytes()).ok()?;
    // SAFETY: a path that ends with a NUL, and a plain structure to fill (statvfs(3)).
    unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        let known = libc::statvfs(path.as_ptr(), &raw mut facts) == 0;
        known.then(|| Space {
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
            total: facts.f_blocks.saturating_mul(facts.f_frsize),
        })
    }
}
