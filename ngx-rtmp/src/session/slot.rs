//! What is kept of a session, beside what nginx-rtmp keeps.

use std::ptr;

use nginx_sys::{ngx_chain_t, ngx_event_handler_pt, ngx_flag_t, ngx_recv_pt};

use weir_rtmp::gop::Gop;

use crate::{timer::SessionTimer, tls::Tls, types::Types, waiting::Waiting};

/// What is kept of a session: the module's part, and the fence's.
pub(crate) struct SessionSlot<M: Types> {
    pub(crate) state: M::Session,
    /// For a connection to a target that is not up yet.
    pub(crate) dialing: Option<Box<Dialing>>,
    /// By what a connection is read whose bytes are counted.
    pub(crate) receiver: Option<Receiver>,
    /// The configuration of the decoder of its pictures, where nginx-rtmp does not know it.
    pub(crate) header: CodecHeader,
    pub(crate) timer: Option<SessionTimer>,
    /// What waits to be sent, where writes are merged.
    pub(crate) waiting: Waiting,
    /// Of a publisher: its messages since the last keyframe.
    pub(crate) gop: Option<Box<Gop>>,
    /// Of a player: it has begun with the messages since the last keyframe, or was meant to.
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

/// Of a connection that is not up yet.
pub(crate) struct Dialing {
    pub(crate) read: ngx_event_handler_pt,
    pub(crate) write: ngx_event_handler_pt,
    pub(crate) tls: Option<Tls>,
}

/// Reads from a connection: nginx's own function, or that of TLS.
#[derive(Clone, Copy)]
pub(crate) struct Receiver(pub(crate) ngx_recv_pt);

/// What is lent to nginx-rtmp for one message.
pub(crate) struct CodecHeader {
    /// Buffers of nginx-rtmp that hold the header; null when there is none.
    pub(crate) chain: *mut ngx_chain_t,
    /// What `wait_key` is when no message is handled.
    pub(crate) wait_key: Option<ngx_flag_t>,
}

impl Default for CodecHeader {
    fn default() -> CodecHeader {
        CodecHeader { chain: ptr::null_mut(), wait_key: None }
    }
}
