//! What other modules of nginx-rtmp were configured with: `exec` and its kin, `allow` and `deny`.
//!
//! Their settings are in no header. An array knows the size of its elements, and a directive where it writes to:
//! where these are not as declared here, nothing is read, and the worst is assumed.

use std::ffi::c_void;

use nginx_sys::{ngx_array_t, ngx_module_t, ngx_str_t, ngx_uint_t};
use weir_model::{
    access::{Addresses, Rule},
    exec::Uses,
};

use super::{
    collections, commands, conf, export,
    rtmp_sys::{Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_record_app_conf_t},
};
use crate::settings::AppSettings;

/// The directives of nginx-rtmp's `exec` module that give a client's words to a program. `exec_static` knows
/// none (ngx_rtmp_exec_run).
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

/// Notes in an application's settings what its `exec`, `allow` and `deny` lines say.
///
/// # Safety
///
/// `app` is an application of a configuration that was read completely, and nothing runs with it yet.
pub(super) unsafe fn note(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) {
    // SAFETY: by contract; each entry of `app_conf` is the settings of a module, ours an `AppSettings`.
    unsafe {
        let ours: *mut AppSettings = (*app.app_conf.add((*export::rtmp_module()).ctx_index)).cast();
        if let Some(settings) = ours.as_mut() {
            settings.exec = uses(rtmp, app);
            settings.access = access(rtmp, app);
        }
    }
}

/// # Safety
///
/// As for `note`.
unsafe fn uses(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Uses {
    let mut uses = Uses::default();
    // SAFETY: by contract. A recorder has settings of its own (ngx_rtmp_record_recorder).
    unsafe {
        add(rtmp.ngx_rtmp_exec_module, app.app_conf, &mut uses);
        let record: Option<&ngx_rtmp_record_app_conf_t> =
            conf::entry(app.app_conf, rtmp.ngx_rtmp_record_module);
        let recorders = record
            .map_or(&[][..], |record| collections::array::<*mut ngx_rtmp_record_app_conf_t>(&record.rec));
        for recorder in recorders.iter().filter_map(|recorder| recorder.as_ref()) {
            add(rtmp.ngx_rtmp_exec_module, recorder.rec_conf, &mut uses);
        }
    }
    uses
}

/// Takes up the variables of all `exec` lines of a block.
///
/// # Safety
///
/// `table` is null, or the settings of an application or a recorder.
unsafe fn add(module: *const ngx_module_t, table: *mut *mut c_void, uses: &mut Uses) {
    // SAFETY: by contract; a directive's offset is that of its array (ngx_rtmp_exec_commands).
    unsafe {
        let Some(settings) = table.as_ref().and_then(|_| (*table.add((*module).ctx_index)).as_ref()) else {
            return;
        };
        let settings = std::ptr::from_ref(settings).cast::<u8>();
        for directive in EXEC {
            let Some(offset) = commands::offset(module, directive) else {
                *uses = Uses::ALL;
                return;
            };
            let lines = &*settings.add(offset).cast::<ngx_array_t>();
            if lines.nelts > 0 && lines.size != size_of::<Command>() {
                *uses = Uses::ALL;
                return;
            }
            for command in collections::array::<Command>(lines) {
                for argument in collections::array::<ngx_str_t>(&command.arguments) {
                    match conf::text(argument) {
                        Some(word) => uses.add(word),
                        None => *uses = Uses::ALL,
                    }
                }
            }
        }
    }
}

/// # Safety
///
/// As for `note`.
unsafe fn access(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t) -> Vec<Rule> {
    let mut rules = Vec::new();
    // SAFETY: by contract; the sizes of the elements are as declared.
    unsafe {
        let settings: Option<&AccessSettings> = conf::entry(app.app_conf, rtmp.ngx_rtmp_access_module);
        let Some(settings) = settings else { return rules };
        if settings.rules.size != size_of::<Rule4>() || settings.rules6.size != size_of::<Rule6>() {
            return rules;
        }
        let rule = |addresses: Addresses, deny: ngx_uint_t, flags: ngx_uint_t| Rule {
            addresses,
            deny: deny != 0,
            publish: flags & PUBLISH != 0,
            play: flags & PLAY != 0,
        };
        // Addresses of IPv4 are in network order (in_addr_t).
        let v4 = |number: u32| number.to_ne_bytes().into();
        for found in collections::array::<Rule4>(&settings.rules) {
            let addresses = Addresses::V4 { addr: v4(found.addr), mask: v4(found.mask) };
            rules.push(rule(addresses, found.deny, found.flags));
        }
        for found in collections::array::<Rule6>(&settings.rules6) {
            let addresses = Addresses::V6 { addr: found.addr.into(), mask: found.mask.into() };
            rules.push(rule(addresses, found.deny, found.flags));
        }
    }
    rules
}
