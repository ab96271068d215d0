//! The fence's and the module's state of a session.

use std::ptr;

use nginx_sys::{ngx_chain_t, ngx_event_handler_pt, ngx_flag_t, ngx_recv_pt};

use weir_rtmp::gop::Gop;

use crate::{timer::SessionTimer, tls::Tls, types::Types, waiting::Waiting};

/// State of a session: the module's part, and the fence's part.
pub(crate) struct SessionSlot<M: Types> {
    pub(crate) state: M::Session,
    /// For a connection to a target that is not up yet.
    pub(crate) dialing: Option<Box<Dialing>>,
    /// The original read function of a connection whose bytes are counted.
    pub(crate) receiver: Option<Receiver>,
    /// The decoder configuration of the video, if nginx-rtmp does not know the codec.
    pub(crate) header: CodecHeader,
    pub(crate) timer: Option<SessionTimer>,
    /// State of merged writes.
    pub(crate) waiting: Waiting,
    /// For a publisher: its messages since the last keyframe.
    pub(crate) gop: Option<Box<Gop>>,
    /// For a player: whether it has begun with the messages since the last keyframe, or the fence has tried that.
    pub(crate) has_begun: bool,
}

impl<M: Types> Default for SessionSlot<M> {
    fn default() -> Self {
        SessionSlot {
            state: M::Session::default(),
            dialing: None,
            receiver: None,
            header: CodecHeader::default(),
            timer: None,
            waiting: Waiting::default(),
            gop: None,
            has_begun: false,
        }
    }
}

/// State of a connection that is not up yet.
pub(crate) struct Dialing {
    pub(crate) read: ngx_event_handler_pt,
    pub(crate) write: ngx_event_handler_pt,
    pub(crate) tls: Option<Tls>,
}

/// How a connection is read.
#[derive(Clone, Copy)]
pub(crate) struct Receiver {
    /// nginx's own read function, or that of TLS.
    pub(crate) recv: ngx_recv_pt,
    /// The address after the last byte that was read.
    pub(crate) end: usize,
}

/// A decoder configuration that the fence lends to nginx-rtmp for one message.
pub(crate) struct CodecHeader {
    /// Buffers of nginx-rtmp that hold the header; null without one.
    pub(crate) chain: *mut ngx_chain_t,
    /// The configured value of `wait_key`, while a lent header replaces it.
    pub(crate) wait_key: Option<ngx_flag_t>,
}

impl Default for CodecHeader {
    fn default() -> CodecHeader {
        CodecHeader { chain: ptr::null_mut(), wait_key: None }
    }
}
