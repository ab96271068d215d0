//! State of merged writes, which is kept with the session of a player.

use nginx_sys::ngx_send_pt;

/// State of merged writes of one session: of a player, and of a publisher whose players have merged writes.
#[derive(Default)]
pub(super) struct Waiting {
    /// nginx's own send function, if [`merge`](super::merge) has replaced it.
    pub(super) plain: ngx_send_pt,
    /// Bytes that were sent, and that nginx-rtmp has not yet asked to send.
    pub(super) credit: usize,
    /// The time when messages were last sent, by nginx's clock.
    pub(super) sent_ms: u64,
    /// The time when the oldest waiting message arrived.
    pub(super) since_ms: Option<u64>,
    /// Whether the session is in the list of sessions with waiting messages.
    pub(super) is_listed: bool,
    /// For a publisher: the time when its last video message arrived.
    pub(super) video_ms: Option<u64>,
}
