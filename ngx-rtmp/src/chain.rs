//! The hooks into nginx-rtmp.
//!
//! The fence replaces the handler of `publish` in the table of AMF commands, because nginx-rtmp's own handler logs the name first.
//! nginx-rtmp's handler then gets a command with the stream's public name. `postconfiguration` hooks the chains (`ngx_rtmp_publish`,
//! `ngx_rtmp_close_stream`). These hooks are outermost, because nginx loads this module last.

mod answers;
mod asks;
mod commands;
mod events;
mod next;
mod plays;

use std::ffi::CStr;

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_array_push, ngx_array_t, ngx_chain_t, ngx_conf_t, ngx_int_t, ngx_pool_t,
};

use super::{
    blocks, callback, collections, gop, log, merge,
    module::Module,
    relay,
    rtmp_sys::{
        self, NGX_RTMP_CONNECT, NGX_RTMP_DISCONNECT, NGX_RTMP_HANDSHAKE_DONE, NGX_RTMP_MSG_AUDIO,
        NGX_RTMP_MSG_MAX, NGX_RTMP_MSG_VIDEO, ngx_rtmp_amf_handler_t, ngx_rtmp_conf_ctx_t,
        ngx_rtmp_core_app_conf_t, ngx_rtmp_core_main_conf_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_handler_pt,
        ngx_rtmp_header_t, ngx_rtmp_session_t,
    },
    slots,
};
use next::NEXT;

/// Installs the hooks in a configuration. nginx-rtmp calls it after the postconfiguration of its own modules.
pub(crate) extern "C" fn postconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    callback::guard("postconfiguration", NGX_ERROR as ngx_int_t, || {
        let Some(rtmp) = rtmp_sys::rtmp() else {
            // Without a zone, the fence hooks nothing.
            return NGX_OK as ngx_int_t;
        };
        // SAFETY: `ctx` is nginx-rtmp's, whose core module made its main configuration; arrays and chain
        // heads are its own and only changed at configuration time.
        unsafe {
            let ctx = &*(*cf).ctx.cast::<ngx_rtmp_conf_ctx_t>();
            let core = *ctx.main_conf.add((*rtmp.ngx_rtmp_core_module).ctx_index);
            let core = &mut *core.cast::<ngx_rtmp_core_main_conf_t>();
            let command = replace_command(&mut core.amf, c"publish", commands::publish_command::<M>);
            for kind in [NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO] {
                if !push_front(&mut core.events[kind as usize], merge::handler::<M>()) {
                    return NGX_ERROR as ngx_int_t;
                }
            }
            // The guard's handler comes before all others, so that codec, live, record, HLS and DASH see only messages that the guard lets
            // through.
            for kind in 0..=NGX_RTMP_MSG_MAX as usize {
                if !push_front(&mut core.events[kind], events::message::<M>) {
                    return NGX_ERROR as ngx_int_t;
                }
            }
            // `gop::record` comes after the live module.
            for kind in [NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO] {
                if !push_back(&mut core.events[kind as usize], gop::record::<M>) {
                    return NGX_ERROR as ngx_int_t;
                }
            }
            // `events::after_video` comes after HLS and DASH.
            if !push_back(&mut core.events[NGX_RTMP_MSG_VIDEO as usize], events::after_video::<M>) {
                return NGX_ERROR as ngx_int_t;
            }
            // `events::arrived` comes before all others, so that the fence counts all lines that they log about a client.
            if !push_front(&mut core.events[NGX_RTMP_CONNECT as usize], events::arrived::<M>) {
                return NGX_ERROR as ngx_int_t;
            }
            // `events::connected` comes after ngx_rtmp_limit_connect, which must count first, because it counts at disconnect too.
            if !push_back(&mut core.events[NGX_RTMP_CONNECT as usize], events::connected::<M>)
                || !push_front(&mut core.events[NGX_RTMP_DISCONNECT as usize], events::disconnected::<M>)
                || !push_front(&mut core.events[NGX_RTMP_HANDSHAKE_DONE as usize], events::shook_hands::<M>)
            {
                return NGX_ERROR as ngx_int_t;
            }
            // nginx-rtmp only writes `onStatus` and `_error` to its debug log.
            replace_command(&mut core.amf, c"onStatus", answers::status::<M>);
            replace_command(&mut core.amf, c"_error", answers::error::<M>);
            let slot = &mut *slots::main_slot::<M>((*(*cf).cycle).conf_ctx);
            M::learn(&mut slot.settings, &mut blocks::describe::<M>(&rtmp, core));
            gop::make_room::<M>(core);
            hide_secrets(&rtmp, core, (*cf).pool);
            NEXT.with(|next| {
                next.publish_command = command;
                next.connect_command = replace_command(&mut core.amf, c"connect", asks::connect_command::<M>);
                next.play_command = replace_command(&mut core.amf, c"play", plays::play_command::<M>);
                next.play2_command = replace_command(&mut core.amf, c"play2", plays::play2_command::<M>);
                next.result = replace_command(&mut core.amf, c"_result", answers::result::<M>);
                next.connect = (*rtmp.ngx_rtmp_connect).replace(asks::connects::<M>);
                next.publish = (*rtmp.ngx_rtmp_publish).replace(commands::published::<M>);
                next.play = (*rtmp.ngx_rtmp_play).replace(commands::played::<M>);
                next.close_stream = (*rtmp.ngx_rtmp_close_stream).replace(commands::close_stream::<M>);
                next.delete_stream = (*rtmp.ngx_rtmp_delete_stream).replace(commands::delete_stream::<M>);
            });
            if command.is_none() {
                log::to(
                    (*cf).log,
                    log::Level::Emergency,
                    format_args!("{}: this nginx-rtmp has no publish command", M::NAME),
                );
                return NGX_ERROR as ngx_int_t;
            }
        }
        NGX_OK as ngx_int_t
    })
}

/// Hides secrets in the configuration of nginx-rtmp's own modules.
///
/// # Safety
///
/// `core` is the main configuration of nginx-rtmp's core module, read completely; `pool` is its pool.
unsafe fn hide_secrets(rtmp: &rtmp_sys::Rtmp, core: &ngx_rtmp_core_main_conf_t, pool: *mut ngx_pool_t) {
    // SAFETY: both arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application).
    unsafe {
        for server in collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers) {
            for app in collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**server).applications) {
                relay::hide(rtmp, &**app, pool);
            }
        }
    }
}

type Handler =
    unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut ngx_rtmp_header_t, *mut ngx_chain_t) -> ngx_int_t;

/// Replaces the handler of a command. Returns the previous handler.
///
/// # Safety
///
/// `commands` is `ngx_rtmp_core_main_conf_t.amf`.
unsafe fn replace_command(commands: &mut ngx_array_t, name: &CStr, handler: Handler) -> ngx_rtmp_handler_pt {
    // SAFETY: by contract.
    let rows = unsafe { collections::array_mut::<ngx_rtmp_amf_handler_t>(commands) };
    // SAFETY: names are static strings of nginx-rtmp (ngx_rtmp_cmd_postconfiguration).
    let named = |row: &&mut ngx_rtmp_amf_handler_t| unsafe {
        std::slice::from_raw_parts(row.name.data, row.name.len) == name.to_bytes()
    };
    rows.iter_mut().find(named)?.handler.replace(handler)
}

/// # Safety
///
/// `handlers` is one of `ngx_rtmp_core_main_conf_t.events`.
unsafe fn push_back(handlers: &mut ngx_array_t, handler: Handler) -> bool {
    // SAFETY: by contract.
    unsafe {
        let place = ngx_array_push(handlers).cast::<ngx_rtmp_handler_pt>();
        let Some(place) = place.as_mut() else { return false };
        *place = Some(handler);
    }
    true
}

/// Like `push_back`, but before all other handlers.
///
/// # Safety
///
/// `handlers` is one of `ngx_rtmp_core_main_conf_t.events`.
unsafe fn push_front(handlers: &mut ngx_array_t, handler: Handler) -> bool {
    // SAFETY: by contract.
    unsafe {
        if !push_back(handlers, handler) {
            return false;
        }
        collections::array_mut::<ngx_rtmp_handler_pt>(handlers).rotate_right(1);
    }
    true
}
