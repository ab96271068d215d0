//! What waits for a player: the state of merged writes, kept with its session.

use nginx_sys::ngx_send_pt;

/// The state of merged writes of one session: of a player, and of a publisher whose players have merged writes.
#[derive(Default)]
pub(super) struct Waiting {
    /// nginx's own function, where [`merge`](super::merge) sends in its place.
    pub(super) plain: ngx_send_pt,
    /// Bytes that were sent and that nginx-rtmp has not asked for yet.
    pub(super) credit: usize,
    /// When messages were last sent, by nginx's clock.
    pub(super) sent_ms: u64,
    /// When the oldest message came that waits.
    pub(super) since_ms: Option<u64>,
    /// The session is in the list of those for which something waits.
    pub(super) is_listed: bool,
    /// Of a publisher: when its last video message came.
    pub(super) video_ms: Option<u64>,
}
