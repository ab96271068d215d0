//! Settings of other modules of nginx-rtmp: `exec` and its siblings, `allow` and `deny`.
//!
//! No header declares these settings. But an array knows the size of its elements, and a directive knows the offset that it writes to. If
//! these differ from the declarations here, the fence reads nothing and assumes the worst.

use std::{
    ffi::c_void,
    net::{IpAddr, Ipv4Addr},
};

use nginx_sys::{ngx_array_t, ngx_module_t, ngx_str_t, ngx_uint_t};

use super::{
    collections, commands,
    rtmp_sys::{Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_record_app_conf_t},
    slots,
};

/// The arguments that `exec` lines pass to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exec {
    /// The arguments.
    Words(Vec<String>),
    /// The fence cannot read the arguments.
    Unknown,
}

/// An `allow` or `deny` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRule {
    /// An address, and its network mask.
    pub network: (IpAddr, IpAddr),
    /// Whether it is a `deny` line.
    pub deny: bool,
    /// Whether it applies to publishers.
    pub publish: bool,
    /// Whether it applies to players.
    pub play: bool,
}

/// The directives of nginx-rtmp's `exec` module that pass values of a client to a program. `exec_static` has no such values
/// (ngx_rtmp_exec_run).
const EXEC: [&str; 7] = [
    "exec_push",
    "exec_pull",
    "exec_publish",
    "exec_publish_done",
    "exec_play",
    "exec_play_done",
    "exec_record_done",
];

/// ngx_rtmp_exec_conf_t.
#[repr(C)]
struct Command {
    id: ngx_str_t,
    kind: ngx_uint_t,
    program: ngx_str_t,
    arguments: ngx_array_t,
    names: ngx_array_t,
}

/// ngx_rtmp_access_rule_t.
#[repr(C)]
struct Rule4 {
    mask: u32,
    addr: u32,
    deny: ngx_uint_t,
    flags: ngx_uint_t,
}

/// ngx_rtmp_access_rule6_t.
#[repr(C)]
struct Rule6 {
    addr: [u8; 16],
    mask: [u8; 16],
    deny: ngx_uint_t,
    flags: ngx_uint_t,
}

/// ngx_rtmp_access_app_conf_t.
#[repr(C)]
struct AccessSettings {
    rules: ngx_array_t,
    rules6: ngx_array_t,
}

/// NGX_RTMP_ACCESS_PUBLISH and NGX_RTMP_ACCESS_PLAY.
const PUBLISH: ngx_uint_t = 1;
const PLAY: ngx_uint_t = 2;

/// Returns the arguments of an application's `exec` lines.
///
/// # Safety
///
/// `app` is an application of a configuration that was read completely, and nothing runs with it yet.
pub(super) unsafe fn exec(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Exec {
    let mut words = Vec::new();
    // SAFETY: by contract. A recorder has settings of its own (ngx_rtmp_record_recorder).
    let known = unsafe {
        let record: Option<&ngx_rtmp_record_app_conf_t> =
            slots::entry(app.app_conf, rtmp.ngx_rtmp_record_module);
        let recorders = record
            .map_or(&[][..], |record| collections::array::<*mut ngx_rtmp_record_app_conf_t>(&record.rec));
        let tables = recorders.iter().filter_map(|recorder| recorder.as_ref()).map(|it| it.rec_conf);
        let mut tables = std::iter::once(app.app_conf).chain(tables);
        tables.try_for_each(|table| add(rtmp.ngx_rtmp_exec_module, table, &mut words))
    };
    if known.is_some() { Exec::Words(words) } else { Exec::Unknown }
}

/// Adds the arguments of all `exec` lines of a block to `words`. Returns `None` if they cannot be read.
///
/// # Safety
///
/// `table` is null, or the settings of an application or a recorder.
unsafe fn add(module: *const ngx_module_t, table: *mut *mut c_void, words: &mut Vec<String>) -> Option<()> {
    // SAFETY: by contract; a directive's offset is that of its array (ngx_rtmp_exec_commands).
    unsafe {
        let Some(settings) = table.as_ref().and_then(|_| (*table.add((*module).ctx_index)).as_ref()) else {
            return Some(());
        };
        let settings = std::ptr::from_ref(settings).cast::<u8>();
        for directive in EXEC {
            let lines = &*settings.add(commands::offset(module, directive)?).cast::<ngx_array_t>();
            if lines.nelts > 0 && lines.size != size_of::<Command>() {
                return None;
            }
            for command in collections::array::<Command>(lines) {
                for argument in collections::array::<ngx_str_t>(&command.arguments) {
                    words.push(collections::text(argument)?.to_owned());
                }
            }
        }
    }
    Some(())
}

/// Returns an application's `allow` and `deny` lines.
///
/// # Safety
///
/// As for [`exec`].
pub(super) unsafe fn access(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Vec<AccessRule> {
    let mut rules = Vec::new();
    // SAFETY: by contract; the sizes of the elements are as declared.
    unsafe {
        let settings: Option<&AccessSettings> = slots::entry(app.app_conf, rtmp.ngx_rtmp_access_module);
        let Some(settings) = settings else { return rules };
        if settings.rules.size != size_of::<Rule4>() || settings.rules6.size != size_of::<Rule6>() {
            return rules;
        }
        let rule = |network: (IpAddr, IpAddr), deny: ngx_uint_t, flags: ngx_uint_t| AccessRule {
            network,
            deny: deny != 0,
            publish: flags & PUBLISH != 0,
            play: flags & PLAY != 0,
        };
        // IPv4 addresses are in network order (in_addr_t).
        let v4 = |number: u32| IpAddr::V4(Ipv4Addr::from(number.to_ne_bytes()));
        for found in collections::array::<Rule4>(&settings.rules) {
            rules.push(rule((v4(found.addr), v4(found.mask)), found.deny, found.flags));
        }
        for found in collections::array::<Rule6>(&settings.rules6) {
            rules.push(rule((found.addr.into(), found.mask.into()), found.deny, found.flags));
        }
    }
    rules
}
