//! Connections to push targets, which nginx-rtmp's relay opens.
//!
//! `ngx_rtmp_relay_push` opens the connection, plays the stream into it and speaks to the target. The fence replaces the connection's event
//! handlers until the connection is up and, for RTMPS, until the TLS handshake is complete. Each connection has a ticket, and the module
//! gets the connection's events by this ticket.

use std::{ffi::c_void, net::SocketAddr, ptr};

use nginx_sys::{NGX_OK, ngx_addr_t, ngx_connection_t, ngx_event_t, ngx_int_t, ngx_pnalloc, ngx_str_t};

use super::{
    address,
    callback::{self, Sessions},
    connections::Connections,
    incoming::{self, Incoming},
    outgoing, relay,
    rtmp_sys::{
        self, NGX_RTMP_MSG_AMF_CMD, Rtmp, ngx_rtmp_amf_elt_t, ngx_rtmp_close_stream_t, ngx_rtmp_header_t,
        ngx_rtmp_relay_ctx_t, ngx_rtmp_relay_target_t, ngx_rtmp_session_t,
    },
    session::{Session, slot::Dialing},
    slots, ticket,
    tls::{self, Progress},
    types::{Tables, Types},
};
pub use super::{failure::Failure, tls::Tls};

/// The command that a `_result` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// `connect`.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`.
    Publish,
    /// No command that is open.
    Nothing,
}

/// Callbacks for connections to push targets, by their tickets.
pub trait Targets: Types {
    /// Longest answer that is read, in bytes.
    const MAX_ANSWER: usize;
    /// Called for a `_result` of the other end, with this transaction number.
    fn on_result(session: &mut Session<'_, Self>, transaction: Option<f64>) -> Answered;
    /// Called when the connection is up.
    fn on_connected(sessions: &mut Sessions<'_>, ticket: u64);
    /// Called when the connection failed or ended.
    fn on_failed(sessions: &mut Sessions<'_>, ticket: u64, failure: Failure);
    /// Called when nginx-rtmp has sent `publish`, and the stream follows.
    fn on_sending(sessions: &mut Sessions<'_>, ticket: u64);
    /// Called when the target reports the outcome of the publish (`onStatus`).
    fn on_status(sessions: &mut Sessions<'_>, ticket: u64, level: &str, code: &str, description: &str);
    /// Called when the target refuses `connect` or a later command (`_error`).
    fn on_error(sessions: &mut Sessions<'_>, ticket: u64, code: &str, description: &str);
}

/// Chunk stream and message stream of nginx-rtmp's relay (NGX_RTMP_RELAY_CSID_AMF, NGX_RTMP_RELAY_MSID).
const CSID: u32 = 5;
const MSID: u32 = 1;

/// The parameters of a new connection.
pub struct Dial<'d> {
    /// A number that no other connection of this worker has; not 0.
    pub ticket: u64,
    /// The stream's public name.
    pub name: &'d str,
    /// The address of the target.
    pub addr: SocketAddr,
    /// The name of the target in logs: host and port.
    pub label: &'d str,
    /// `app` of `connect`.
    pub app: &'d str,
    /// `tcUrl` of `connect`.
    pub tc_url: &'d str,
    /// The name of the stream on the target.
    pub play_path: &'d str,
    /// The settings for RTMPS; `None` for RTMP.
    pub tls: Option<Tls>,
}

/// Opens a connection for a publisher's stream.
///
/// # Errors
///
/// Why it failed immediately.
pub fn connect<M: Tables + Targets + Incoming>(
    publisher: &mut Session<'_, M>,
    dial: &Dial<'_>,
) -> Result<(), Failure> {
    let rtmp = rtmp_sys::rtmp().ok_or(Failure::NoRoom)?;
    let text = |text: &str| ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    let mut address = address::System::of(dial.addr);
    // SAFETY: nginx-rtmp copies address and names before it returns (ngx_rtmp_relay_create_connection). What is
    // secret is put into its context after it has logged the others.
    unsafe {
        let mut addr =
            ngx_addr_t { sockaddr: address.pointer(), socklen: address.length, name: text(dial.label) };
        let mut target: ngx_rtmp_relay_target_t = std::mem::zeroed();
        target.url.url = text(dial.label);
        target.url.addrs = &raw mut addr;
        target.url.naddrs = 1;
        target.tag = ticket::tag();
        target.data = dial.ticket as usize as *mut c_void;
        *libc::__errno_location() = 0;
        let session = publisher.as_ptr();
        if (rtmp.ngx_rtmp_relay_push)(session, &mut text(dial.name), &mut target) != NGX_OK as ngx_int_t {
            let error = std::io::Error::last_os_error();
            return Err(error
                .raw_os_error()
                .filter(|number| *number != 0)
                .map_or(Failure::NoRoom, Failure::Connect));
        }
        let context = find(&rtmp, session, dial.ticket).ok_or(Failure::NoRoom)?;
        let peer = (*context).session;
        outgoing::remember(dial.ticket, peer);
        prepare::<M>(&mut *context, dial).inspect_err(|_| {
            outgoing::forget(peer);
            Session::<M>::new(peer).close();
        })
    }
}

/// Sets the names of a new connection, and its events: with TLS, nothing may be sent before the handshake.
///
/// # Safety
///
/// `context` is that of a new connection, which is alive.
unsafe fn prepare<M: Tables + Targets + Incoming>(
    context: &mut ngx_rtmp_relay_ctx_t,
    dial: &Dial<'_>,
) -> Result<(), Failure> {
    // SAFETY: by contract; a session has its connection and both events (ngx_rtmp_relay_create_connection).
    unsafe {
        let connection = &mut *(*context.session).connection;
        context.app = copy(connection, dial.app)?;
        context.tc_url = copy(connection, dial.tc_url)?;
        context.play_path = copy(connection, dial.play_path)?;
        let mut session = Session::<M>::new(context.session);
        let slot = session.own_slot().ok_or(Failure::NoRoom)?;
        slot.dialing = Some(Box::new(Dialing {
            read: (*connection.read).handler.replace(on_readable::<M>),
            write: (*connection.write).handler.replace(on_writable::<M>),
            tls: dial.tls.clone(),
        }));
    }
    Ok(())
}

/// # Safety
///
/// `connection` is alive.
unsafe fn copy(connection: &mut ngx_connection_t, text: &str) -> Result<ngx_str_t, Failure> {
    // SAFETY: room for the text in the connection's pool (ngx_pnalloc).
    unsafe {
        let data: *mut u8 = ngx_pnalloc(connection.pool, text.len().max(1)).cast();
        if data.is_null() {
            return Err(Failure::NoRoom);
        }
        ptr::copy_nonoverlapping(text.as_ptr(), data, text.len());
        Ok(ngx_str_t { len: text.len(), data })
    }
}

/// Finds the new connection with this ticket among a publisher's connections.
///
/// # Safety
///
/// `session` is alive.
unsafe fn find(
    rtmp: &Rtmp,
    session: *mut ngx_rtmp_session_t,
    ticket: u64,
) -> Option<*mut ngx_rtmp_relay_ctx_t> {
    // SAFETY: the contexts of a publisher's pushes are alive as long as they are listed; a pull that publishes
    // is listed with its players as their publisher's (ngx_rtmp_relay_create).
    unsafe {
        let own: &ngx_rtmp_relay_ctx_t = slots::entry((*session).ctx, rtmp.ngx_rtmp_relay_module)?;
        let mut push = own.play;
        while let Some(context) = push.as_ref() {
            if context.tag == ticket::tag() && context.data.addr() as u64 == ticket {
                return Some(push);
            }
            push = context.next;
        }
    }
    None
}

impl<M: Tables> Session<'_, M> {
    /// Returns the ticket of this connection, if the module opened it to a target.
    #[must_use]
    pub fn ticket(&self) -> Option<u64> {
        // SAFETY: a live session (`Session::new`).
        unsafe { ticket::of(self.as_ptr()) }
    }
}

/// Returns the bytes that were sent over the connection with this ticket: 32 bits that wrap. Returns `None` if the connection is gone.
#[must_use]
pub fn sent(ticket: u64) -> Option<u32> {
    // SAFETY: a connection of the table is alive (`outgoing::forget`, ngx_rtmp_close_session_handler).
    outgoing::find(ticket).map(|peer| unsafe { (*peer).out_bytes })
}

/// Returns the sent bytes of the connection with this ticket that the other end has not acknowledged. Returns `None` if the connection is
/// gone.
#[must_use]
pub fn unacknowledged(ticket: u64) -> Option<u64> {
    let peer = outgoing::find(ticket)?;
    let mut bytes: libc::c_int = 0;
    // SAFETY: a connection of the table is alive; SIOCOUTQ (TIOCOUTQ, tcp(7)) writes a number.
    let asked = unsafe { libc::ioctl((*(*peer).connection).fd, libc::TIOCOUTQ, &raw mut bytes) };
    (asked == 0).then(|| u64::try_from(bytes).unwrap_or(0))
}

/// Closes the connection with this ticket. The module gets no more events of it.
pub fn abort<M: Tables>(_: &mut Sessions<'_>, ticket: u64) {
    // SAFETY: a connection of the table is alive (`outgoing::forget`, ngx_rtmp_close_session_handler).
    unsafe {
        if let Some(peer) = take(ticket) {
            tls::end((*peer).connection);
            Session::<M>::new(peer).close();
        }
    }
}

/// Tells the target of the connection with this ticket that the stream ends, and gives it time to read that before the connection closes.
/// The module gets no more events of the connection.
pub fn leave<M: Tables + Connections>(_: &mut Sessions<'_>, ticket: u64, play_path: &str) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: a connection of the table is alive (`outgoing::forget`, ngx_rtmp_close_session_handler).
    unsafe {
        let Some(peer) = take(ticket) else { return };
        say_goodbye(&rtmp, peer, play_path);
        // From now on, the live module must not send the stream to this connection.
        let mut v: ngx_rtmp_close_stream_t = std::mem::zeroed();
        v.stream = f64::from(MSID);
        if let Some(close_stream) = *rtmp.ngx_rtmp_close_stream {
            close_stream(peer, &raw mut v);
        }
        tls::end((*peer).connection);
        M::linger(&mut Session::new(peer));
    }
}

/// Removes a connection from the table and from its publisher's list, so that it does not end with the publisher.
fn take(ticket: u64) -> Option<*mut ngx_rtmp_session_t> {
    let rtmp = rtmp_sys::rtmp()?;
    let peer = outgoing::find(ticket)?;
    outgoing::forget(peer);
    // SAFETY: a connection of the table is alive, and so is its publisher's context as long as it has one; as
    // ngx_rtmp_relay_close takes a player out.
    unsafe {
        let context: *mut ngx_rtmp_relay_ctx_t = relay::context(&rtmp, peer);
        if let Some(own) = context.as_mut() {
            if let Some(publisher) = own.publish.as_mut() {
                let mut link = &raw mut publisher.play;
                while !(*link).is_null() && *link != context {
                    link = &raw mut (**link).next;
                }
                if !(*link).is_null() {
                    *link = own.next;
                }
            }
            (own.publish, own.data) = (ptr::null_mut(), ptr::null_mut());
        }
    }
    Some(peer)
}

/// Sends `FCUnpublish` and `deleteStream`.
///
/// # Safety
///
/// `peer` is alive.
unsafe fn say_goodbye(rtmp: &Rtmp, peer: *mut ngx_rtmp_session_t, play_path: &str) {
    let element = |kind: u32, data: *mut c_void, len: usize| ngx_rtmp_amf_elt_t {
        type_: kind as ngx_int_t,
        name: ngx_str_t { len: 0, data: ptr::null_mut() },
        data,
        len,
    };
    let (mut no_answer, mut stream) = (0.0_f64, f64::from(MSID));
    let number = |value: *mut f64| element(rtmp_sys::NGX_RTMP_AMF_NUMBER, value.cast(), 0);
    let string =
        |text: &str| element(rtmp_sys::NGX_RTMP_AMF_STRING, text.as_ptr().cast_mut().cast(), text.len());
    let null = || element(rtmp_sys::NGX_RTMP_AMF_NULL, ptr::null_mut(), 0);
    // nginx-rtmp takes a string of length 0 as a string that ends with a NUL (ngx_rtmp_amf_write).
    if play_path.is_empty() {
        return;
    }
    let mut unpublish = [string("FCUnpublish"), number(&raw mut no_answer), null(), string(play_path)];
    let mut delete = [string("deleteStream"), number(&raw mut no_answer), null(), number(&raw mut stream)];
    // SAFETY: a live session; the elements are written into the message before the calls return (ngx_rtmp_send_amf).
    unsafe {
        let mut header: ngx_rtmp_header_t = std::mem::zeroed();
        header.csid = CSID;
        header.type_ = NGX_RTMP_MSG_AMF_CMD as u8;
        (rtmp.ngx_rtmp_send_amf)(peer, &raw mut header, unpublish.as_mut_ptr(), unpublish.len());
        (rtmp.ngx_rtmp_send_amf)(peer, &raw mut header, delete.as_mut_ptr(), delete.len());
    }
}

/// Runs when the connection is writable: it is up, or it failed.
unsafe extern "C" fn on_writable<M: Tables + Targets + Incoming>(event: *mut ngx_event_t) {
    callback::guard("a connection to a target", (), || {
        // SAFETY: `data` is the connection of a session of ours (see `connect`).
        unsafe {
            let connection: *mut ngx_connection_t = (*event).data.cast();
            let session: *mut ngx_rtmp_session_t = (*connection).data.cast();
            if (*connection).destroyed() != 0 || (*event).timedout() != 0 || fails::<M>(session) {
                return;
            }
            let Some(number) = ticket::of(session) else { return Session::<M>::new(session).close() };
            Session::<M>::new(session).send_at_once(true);
            M::on_connected(&mut Sessions::new(), number);
            let wanted =
                Session::<M>::new(session).known_slot().and_then(|slot| slot.dialing.as_ref()?.tls.clone());
            let Some(wanted) = wanted.filter(|_| (*connection).destroyed() == 0) else {
                return go_on::<M>(connection);
            };
            let host = (!wanted.is_address).then_some(wanted.host.as_str());
            match tls::begin(connection, host, on_tls::<M>) {
                Ok(Progress::Done) => on_tls::<M>(connection),
                Ok(Progress::Later) => {}
                Err(error) => fail::<M>(session, error),
            }
        }
    });
}

/// Runs before the connection is up, when only a failure can make it readable.
unsafe extern "C" fn on_readable<M: Tables + Targets + Incoming>(event: *mut ngx_event_t) {
    callback::guard("a connection to a target", (), || {
        // SAFETY: as in `on_writable`.
        unsafe {
            let connection: *mut ngx_connection_t = (*event).data.cast();
            if (*connection).destroyed() == 0 {
                fails::<M>((*connection).data.cast());
            }
        }
    });
}

/// Runs after the TLS handshake.
unsafe extern "C" fn on_tls<M: Tables + Targets + Incoming>(connection: *mut ngx_connection_t) {
    callback::guard("TLS with a target", (), || {
        // SAFETY: the connection that `tls::begin` was called for (ngx_ssl_handshake_handler).
        unsafe {
            if (*connection).destroyed() != 0 {
                return;
            }
            let session: *mut ngx_rtmp_session_t = (*connection).data.cast();
            let mut safe = Session::<M>::new(session);
            let wanted = safe.known_slot().and_then(|slot| slot.dialing.as_ref()?.tls.clone());
            let outcome = match wanted {
                Some(wanted) => tls::check(connection, &wanted.host, wanted.verify),
                None => Ok(()),
            };
            match outcome {
                Ok(()) => go_on::<M>(connection),
                Err(error) => fail::<M>(session, error),
            }
        }
    });
}

/// Passes the connection to nginx-rtmp.
///
/// # Safety
///
/// As for `on_writable`.
unsafe fn go_on<M: Tables + Targets + Incoming>(connection: *mut ngx_connection_t) {
    // SAFETY: by contract; the handlers are those that nginx-rtmp had set (ngx_rtmp_client_handshake).
    unsafe {
        let mut session = Session::<M>::new((*connection).data.cast());
        let Some(dialing) = session.known_slot().and_then(|slot| slot.dialing.take()) else { return };
        if (*connection).destroyed() != 0 {
            return;
        }
        (*(*connection).read).handler = dialing.read;
        (*(*connection).write).handler = dialing.write;
        // TLS replaces the connection's read function.
        if session.known_slot().is_some_and(|slot| slot.receiver.is_some()) {
            incoming::watch(&mut session);
        }
        if let Some(write) = dialing.write {
            write((*connection).write);
        }
    }
}

/// Returns whether the connection failed, and closes it in that case.
///
/// # Safety
///
/// `session` is alive.
unsafe fn fails<M: Tables + Targets + Incoming>(session: *mut ngx_rtmp_session_t) -> bool {
    // SAFETY: by contract; a number and its length.
    let error = unsafe {
        let (mut error, mut length): (libc::c_int, libc::socklen_t) = (0, size_of::<libc::c_int>() as _);
        let fd = (*(*session).connection).fd;
        let asked =
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length);
        if asked == 0 { error } else { libc::EBADF }
    };
    if error != 0 {
        // SAFETY: by contract.
        unsafe { fail::<M>(session, Failure::Connect(error)) };
    }
    error != 0
}

/// # Safety
///
/// `session` is alive.
unsafe fn fail<M: Tables + Targets + Incoming>(session: *mut ngx_rtmp_session_t, error: Failure) {
    // SAFETY: by contract; closing is posted, and twice is once.
    unsafe {
        if let Some(ticket) = ticket::of(session) {
            M::on_failed(&mut Sessions::new(), ticket, error);
        }
        Session::<M>::new(session).close();
    }
}
