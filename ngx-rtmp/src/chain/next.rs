//! nginx-rtmp's handlers that the hooks replaced.

use crate::{
    local,
    rtmp_sys::{
        ngx_rtmp_close_stream_pt, ngx_rtmp_connect_pt, ngx_rtmp_delete_stream_pt, ngx_rtmp_handler_pt,
        ngx_rtmp_play_pt, ngx_rtmp_publish_pt,
    },
};

/// The handlers that the hooks replaced.
pub(super) struct Next {
    pub(super) connect_command: ngx_rtmp_handler_pt,
    pub(super) publish_command: ngx_rtmp_handler_pt,
    pub(super) play_command: ngx_rtmp_handler_pt,
    pub(super) play2_command: ngx_rtmp_handler_pt,
    pub(super) result: ngx_rtmp_handler_pt,
    pub(super) connect: ngx_rtmp_connect_pt,
    pub(super) publish: ngx_rtmp_publish_pt,
    pub(super) play: ngx_rtmp_play_pt,
    pub(super) close_stream: ngx_rtmp_close_stream_pt,
    pub(super) delete_stream: ngx_rtmp_delete_stream_pt,
}

local! {
    /// The handlers of the running configuration.
    pub(super) static NEXT: Next = Next {
        connect_command: None,
        publish_command: None,
        play_command: None,
        play2_command: None,
        result: None,
        connect: None,
        publish: None,
        play: None,
        close_stream: None,
        delete_stream: None,
    };
}
