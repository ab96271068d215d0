//! An RTMP session of nginx-rtmp.

mod refusal;
pub(crate) mod slot;
mod traffic;

use std::{
    ffi::{CStr, CString, c_void},
    fmt::Arguments,
    marker::PhantomData,
    net::IpAddr,
};

use nginx_sys::{ngx_connection_t, ngx_int_t, ngx_str_t};

use super::{
    address, buffers, collections, log,
    rtmp_sys::{
        self, NGX_RTMP_MAX_NAME, ngx_rtmp_addr_conf_t, ngx_rtmp_codec_ctx_t, ngx_rtmp_core_app_conf_t,
        ngx_rtmp_core_srv_conf_t, ngx_rtmp_live_app_conf_t, ngx_rtmp_live_ctx_t, ngx_rtmp_play_ctx_t,
        ngx_rtmp_session_t, ngx_rtmp_stream_t,
    },
    slots,
    types::Tables,
    waiting::Waiting,
};
use slot::SessionSlot;

/// A live session, during one callback.
pub struct Session<'s, M> {
    session: *mut ngx_rtmp_session_t,
    callback: PhantomData<&'s mut M>,
}

impl<'s, M: Tables> Session<'s, M> {
    /// # Safety
    ///
    /// `session` is alive, and stays so for `'s`. As long as the result is used, no session is lent but by it
    /// ([`Sessions`](super::callback::Sessions)).
    pub(super) unsafe fn new(session: *mut ngx_rtmp_session_t) -> Session<'s, M> {
        Session { session, callback: PhantomData }
    }

    /// Returns the session of a connection, unless nginx is closing the connection.
    ///
    /// # Safety
    ///
    /// `connection` is alive and nginx-rtmp's, and stays so for `'s`.
    pub(super) unsafe fn of_connection(connection: *mut ngx_connection_t) -> Option<Session<'s, M>> {
        // SAFETY: by contract; nginx-rtmp keeps the session in `data` (ngx_rtmp_init_session).
        unsafe {
            let closing = (*connection).destroyed() != 0;
            (!closing).then(|| Session::new((*connection).data.cast()))
        }
    }

    pub(super) fn as_ptr(&self) -> *mut ngx_rtmp_session_t {
        self.session
    }

    fn raw(&self) -> &ngx_rtmp_session_t {
        // SAFETY: alive, see `new` (ngx_rtmp_close_session_handler frees it). Only plain fields are read through it.
        unsafe { &*self.session }
    }

    pub(super) fn connection_ptr(&self) -> *mut ngx_connection_t {
        self.raw().connection
    }

    pub(super) fn connection(&self) -> &ngx_connection_t {
        // SAFETY: a session has its connection as long as it lives (ngx_rtmp_init_session, ngx_rtmp_close_connection).
        unsafe { &*self.raw().connection }
    }

    /// Returns the settings of the application; `None` before `connect`.
    #[must_use]
    pub fn settings(&self) -> Option<&'s M::App> {
        // SAFETY: `app_conf` is null or the table of an application (ngx_rtmp_cmd_connect), where our entry is an `M::App`
        // (`export::rtmp_context`). The settings are in the pool of a configuration, which outlives its sessions (ngx_clean_old_cycles).
        unsafe { slots::entry(self.raw().app_conf, M::rtmp_module()) }
    }

    /// Returns the settings of the application or, before `connect`, those of the server, which applications inherit.
    #[must_use]
    pub fn guard_settings(&self) -> Option<&'s M::App> {
        // SAFETY: the server's settings for applications stand with the context that its core module keeps
        // (ngx_rtmp_core_srv_conf_t.ctx).
        let of_server = || unsafe {
            let rtmp = rtmp_sys::rtmp()?;
            let core: &ngx_rtmp_core_srv_conf_t =
                slots::entry(self.raw().srv_conf, rtmp.ngx_rtmp_core_module)?;
            slots::entry::<M::App>(core.ctx.as_ref()?.app_conf, M::rtmp_module())
        };
        self.settings().or_else(of_server)
    }

    /// Returns whether the client's `connect` was accepted, or nginx-rtmp opened the connection for an application.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.raw().app_conf.is_null()
    }

    /// Returns whether the client's address comes with the PROXY protocol, after the handshake.
    #[must_use]
    pub fn is_behind_proxy(&self) -> bool {
        let text: *const ngx_str_t = self.raw().addr_text;
        // SAFETY: of an accepted connection, it is a field of the address that it came in by
        // (ngx_rtmp_init_session).
        unsafe {
            let addr = text.byte_sub(std::mem::offset_of!(ngx_rtmp_addr_conf_t, addr_text));
            (*addr.cast::<ngx_rtmp_addr_conf_t>()).proxy_protocol() != 0
        }
    }

    /// Returns the state of each chunk stream that is being read.
    pub(super) fn chunk_streams(&self) -> &[ngx_rtmp_stream_t] {
        let Some(rtmp) = rtmp_sys::rtmp() else { return &[] };
        // SAFETY: `in_streams` has `max_streams` entries (ngx_rtmp_init_session).
        unsafe {
            let core: Option<&ngx_rtmp_core_srv_conf_t> =
                slots::entry(self.raw().srv_conf, rtmp.ngx_rtmp_core_module);
            let count = core.map_or(0, |core| usize::try_from(core.max_streams).unwrap_or(0));
            std::slice::from_raw_parts(self.raw().in_streams, count)
        }
    }

    /// Returns the name of the application. A session that nginx-rtmp opened itself has it only in its settings: its own name is empty, or
    /// that of the far application in sergey-dryabzhinsky's nginx-rtmp (ngx_rtmp_relay_create_connection).
    #[must_use]
    pub fn app(&self) -> &str {
        let named = collections::text(&self.raw().app).filter(|name| !name.is_empty() && !self.is_relay());
        let of_settings = || {
            let rtmp = rtmp_sys::rtmp()?;
            // SAFETY: as in `settings`; the core module's entry is the application itself.
            let app: &ngx_rtmp_core_app_conf_t =
                unsafe { slots::entry(self.raw().app_conf, rtmp.ngx_rtmp_core_module)? };
            collections::text(&app.name)
        };
        named.or_else(of_settings).unwrap_or_default()
    }

    /// Returns the address of the other end as text: the client's address, or the server that nginx-rtmp connected to.
    #[must_use]
    pub fn addr(&self) -> String {
        match self.is_accepted() {
            true => {
                self.client_ip().map_or_else(|| "unix:".to_owned(), |addr| addr.to_canonical().to_string())
            }
            false => collections::text(&self.connection().addr_text).unwrap_or_default().to_owned(),
        }
    }

    /// Returns whether nginx-rtmp opened this session itself, to push or to pull.
    #[must_use]
    pub fn is_relay(&self) -> bool {
        self.raw().relay() != 0
    }

    /// Returns the name under which nginx-rtmp's live module publishes this session; `None` if it does not publish.
    #[must_use]
    pub fn live_name(&self) -> Option<String> {
        let rtmp = rtmp_sys::rtmp()?;
        // SAFETY: the entry of the live module is null or its own context, whose stream has a name that
        // ends with a NUL (ngx_rtmp_live_get_stream).
        unsafe {
            let live: &ngx_rtmp_live_ctx_t = slots::entry(self.raw().ctx, rtmp.ngx_rtmp_live_module)?;
            let stream = live.stream.as_ref().filter(|_| live.publishing() != 0)?;
            let name = &*(&raw const stream.name).cast::<[u8; NGX_RTMP_MAX_NAME as usize]>();
            Some(CStr::from_bytes_until_nul(name).ok()?.to_string_lossy().into_owned())
        }
    }

    /// Returns whether nginx-rtmp's live module serves the session's application (`live on;`).
    #[must_use]
    pub fn has_live_streams(&self) -> bool {
        let Some(rtmp) = rtmp_sys::rtmp() else { return false };
        // SAFETY: the live module's entry in an application's settings is its own (ngx_rtmp_live_create_app_conf).
        let live: Option<&ngx_rtmp_live_app_conf_t> =
            unsafe { slots::entry(self.raw().app_conf, rtmp.ngx_rtmp_live_module) };
        live.is_some_and(|live| live.live == 1)
    }

    /// Returns the bytes that nginx-rtmp has sent to this session: 32 bits that wrap.
    #[must_use]
    pub fn bytes_out(&self) -> u32 {
        self.raw().out_bytes
    }

    /// Returns two values of nginx-rtmp's live module: the messages that it dropped for a player, and the delay of the audio behind the
    /// video in milliseconds (as in ngx_rtmp_stat_live).
    #[must_use]
    pub fn live_facts(&self) -> (u64, i32) {
        let Some(rtmp) = rtmp_sys::rtmp() else { return (0, 0) };
        // SAFETY: the entry of the live module is null or its own context (ngx_rtmp_live_join).
        let live = unsafe { slots::entry::<ngx_rtmp_live_ctx_t>(self.raw().ctx, rtmp.ngx_rtmp_live_module) };
        live.map_or((0, 0), |live| {
            let [video, audio] = [live.cs[0].timestamp, live.cs[1].timestamp];
            (live.ndropped as u64, audio.wrapping_sub(video).cast_signed())
        })
    }

    /// Returns the timestamp in the file that nginx-rtmp plays to this session, in milliseconds; `None` if it plays no file (as in
    /// ngx_rtmp_stat_play).
    #[must_use]
    pub fn file_position(&self) -> Option<u32> {
        let rtmp = rtmp_sys::rtmp()?;
        // SAFETY: the entry of the play module is null or its own context (ngx_rtmp_play_play).
        let play: &ngx_rtmp_play_ctx_t = unsafe { slots::entry(self.raw().ctx, rtmp.ngx_rtmp_play_module)? };
        (play.joined() != 0).then(|| self.raw().current_time)
    }

    /// Returns the codecs that nginx-rtmp's codec module has read in the headers of the published stream.
    #[must_use]
    pub fn codecs(&self) -> Option<Codecs> {
        let rtmp = rtmp_sys::rtmp()?;
        // SAFETY: the entry of the codec module is null or its own context (ngx_rtmp_codec_av).
        let codec =
            unsafe { slots::entry::<ngx_rtmp_codec_ctx_t>(self.raw().ctx, rtmp.ngx_rtmp_codec_module) }?;
        Some(Codecs {
            video_codec: codec.video_codec_id as u8,
            avc_profile: codec.avc_profile as u8,
            avc_level: codec.avc_level as u8,
            avc_compat: codec.avc_compat as u8,
            width: codec.width as u16,
            height: codec.height as u16,
            audio_codec: codec.audio_codec_id as u8,
            aac_profile: codec.aac_profile as u8,
            aac_sbr: codec.aac_sbr != 0,
            aac_ps: codec.aac_ps != 0,
            channels: (if codec.aac_chan_conf != 0 { codec.aac_chan_conf } else { codec.audio_channels })
                as u8,
            sample_rate: codec.sample_rate as u32,
        })
    }

    /// Returns whether the connection is being closed (ngx_rtmp_finalize_session).
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.connection().destroyed() != 0
    }

    /// Returns whether a client opened the connection, and not nginx-rtmp itself.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !self.connection().listening.is_null()
    }

    /// Returns the address of the other end of an accepted connection; `None` for a unix socket.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        address::of_connection(self.connection())
    }

    /// Returns the module's state of this session, creating it if needed; it is dropped with the connection.
    pub fn state(&mut self) -> Option<&mut M::Session> {
        self.slot().map(|slot| &mut slot.state)
    }

    /// Returns the module's state if there is one. It allocates nothing, so the media path may call it.
    pub fn known_state(&mut self) -> Option<&mut M::Session> {
        self.known_slot().map(|slot| &mut slot.state)
    }

    fn slot(&mut self) -> Option<&mut SessionSlot<M>> {
        // SAFETY: `ctx` has an entry for every module of nginx-rtmp's kind; ours is null or a slot that
        // `buffers::keep` made in the connection's pool. `&mut self` keeps it the only reference.
        unsafe {
            let entry: *mut *mut c_void = self.raw().ctx.add((*M::rtmp_module()).ctx_index);
            if (*entry).is_null() {
                *entry = buffers::keep(self.connection().pool, SessionSlot::<M>::default()).cast();
            }
            (*entry).cast::<SessionSlot<M>>().as_mut()
        }
    }

    pub(super) fn known_slot(&mut self) -> Option<&mut SessionSlot<M>> {
        // SAFETY: as in `slot`.
        unsafe { (*self.raw().ctx.add((*M::rtmp_module()).ctx_index)).cast::<SessionSlot<M>>().as_mut() }
    }

    /// Returns the state of merged writes, creating it if needed.
    pub(super) fn waiting(&mut self) -> Option<&mut Waiting> {
        self.slot().map(|slot| &mut slot.waiting)
    }

    /// Returns the slot, creating it if needed.
    pub(super) fn own_slot(&mut self) -> Option<&mut SessionSlot<M>> {
        self.slot()
    }

    /// Tells the client the outcome of its command (`onStatus`).
    pub fn send_status(&mut self, code: &str, level: &str, description: &str) {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (code, level, description) = (text(code), text(level), text(description));
        if let Some(rtmp) = rtmp_sys::rtmp() {
            // SAFETY: a live session; the texts are copied into the message before this returns (ngx_rtmp_send_status).
            let sent = unsafe {
                (rtmp.ngx_rtmp_send_status)(
                    self.session,
                    code.as_ptr().cast_mut(),
                    level.as_ptr().cast_mut(),
                    description.as_ptr().cast_mut(),
                )
            };
            if sent != nginx_sys::NGX_OK as ngx_int_t {
                self.close();
            }
        }
    }

    /// Closes the connection, after the present event (ngx_rtmp_finalize_session).
    pub fn close(&mut self) {
        if let Some(rtmp) = rtmp_sys::rtmp() {
            // SAFETY: a live session; closing is posted (ngx_rtmp_finalize_session), so it stays alive until the callback returns.
            unsafe { (rtmp.ngx_rtmp_finalize_session)(self.session) }
        }
    }

    /// Sets whether small messages are sent without waiting for the other end's acknowledgement (TCP_NODELAY). nginx-rtmp answers `connect`
    /// in four small writes, and without TCP_NODELAY the third waits 40 ms.
    ///
    /// For media, the wait is useful: nginx-rtmp writes media in pieces, and without it each piece would be a packet.
    pub fn send_at_once(&self, at_once: bool) {
        let on = libc::c_int::from(at_once);
        // SAFETY: an open socket and a flag of the right size (tcp(7)); a failure, as on a unix socket, costs only time.
        unsafe {
            libc::setsockopt(
                self.connection().fd,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }

    /// Writes to the session's log; nginx-rtmp adds client and server.
    pub fn log(&self, level: log::Level, message: Arguments<'_>) {
        // SAFETY: the connection's log lives as long as the connection (ngx_event_accept, ngx_rtmp_relay_create_connection).
        log::own(|| unsafe { log::to(self.connection().log, level, message) });
    }
}

/// Codecs, with nginx-rtmp's own numbers; 0 is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Codecs {
    pub video_codec: u8,
    pub avc_profile: u8,
    pub avc_level: u8,
    pub avc_compat: u8,
    pub width: u16,
    pub height: u16,
    pub audio_codec: u8,
    pub aac_profile: u8,
    pub aac_sbr: bool,
    pub aac_ps: bool,
    pub channels: u8,
    pub sample_rate: u32,
}
