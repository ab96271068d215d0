//! Streams between workers: the fence's own version of `rtmp_auto_push on;`.
//!
//! As a dynamic module, nginx-rtmp ignores that directive, and a reload with it ends the workers. So the fence reads its flag and clears it
//! before a worker sees it. Each worker listens on a socket of its own for every `server`; the kernel chooses the socket's name, and the
//! zone tells it to the other workers. A worker with a publisher pushes the stream to all others, with nginx-rtmp's own relay and with the
//! public name.

use std::{
    ffi::c_void,
    mem,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
};

use nginx_sys::{
    NGX_OK, ngx_addr_t, ngx_connection_t, ngx_cycle_t, ngx_event_accept, ngx_event_actions, ngx_flag_t,
    ngx_free_connection, ngx_get_connection, ngx_int_t, ngx_listening_t, ngx_str_t,
};

use super::{
    callback, commands, log, process,
    rtmp_sys::{
        self, Rtmp, ngx_rtmp_addr_conf_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_in_addr_t, ngx_rtmp_port_t,
        ngx_rtmp_relay_ctx_t, ngx_rtmp_relay_target_t, ngx_rtmp_session_t,
    },
    session::Session,
    slots,
    types::Tables,
};
use crate::local;

/// NGX_READ_EVENT where nginx is built with epoll (ngx_event.h).
const READ_EVENT: ngx_int_t = (libc::EPOLLIN | libc::EPOLLRDHUP) as ngx_int_t;
/// nginx's own backlog on Linux (NGX_LISTEN_BACKLOG).
const BACKLOG: libc::c_int = 511;

/// The parts of one listening socket, which live as long as the worker.
struct DoorSocket {
    listening: ngx_listening_t,
    address: libc::sockaddr_un,
    port: ngx_rtmp_port_t,
    addr: ngx_rtmp_in_addr_t,
}

local! {
    static DOORS: Vec<*mut DoorSocket> = Vec::new();
}

/// Takes over `rtmp_auto_push` from nginx-rtmp, in a configuration that takes effect. Returns whether it was on.
///
/// # Safety
///
/// `cycle` has been read completely.
pub(super) unsafe fn take_over(cycle: *mut ngx_cycle_t) -> bool {
    let Some(rtmp) = rtmp_sys::rtmp() else { return false };
    // SAFETY: the settings of a core module are in `conf_ctx` at its index (ngx_init_cycle). Its table of commands says where the flag
    // is in them, and ends with an empty name (ngx_conf_handler).
    unsafe {
        let module = rtmp.ngx_rtmp_auto_push_module;
        let settings = (*(*cycle).conf_ctx.add((*module).index)).cast::<u8>();
        if let (false, Some(offset)) = (settings.is_null(), commands::offset(module, "rtmp_auto_push")) {
            let flag = settings.add(offset).cast::<ngx_flag_t>();
            return mem::replace(&mut *flag, 0) == 1;
        }
    }
    false
}

/// Opens the worker's sockets, one per `server` block, for at most `most` blocks. Returns their names, in the order of the blocks.
#[must_use]
pub fn open(most: usize) -> Vec<u32> {
    process::assert_loop();
    let Some(rtmp) = rtmp_sys::rtmp() else { return Vec::new() };
    // SAFETY: the main configuration of the running cycle, set by nginx-rtmp (ngx_rtmp_block); null without an rtmp block.
    let blocks = unsafe { (*rtmp.ngx_rtmp_core_main_conf).as_ref() }.map_or(0, |core| core.servers.nelts);
    let mut names = Vec::new();
    for at in 0..blocks.min(most) {
        match open_door(&rtmp, at) {
            Ok(name) => names.push(name),
            Err(error) => {
                let line = format_args!("no socket for the other workers: {error}");
                log::named(log::Level::Critical, line);
                break;
            }
        }
    }
    names
}

fn open_door(rtmp: &Rtmp, server: usize) -> std::io::Result<u32> {
    // SAFETY: zeroes are valid for all of it: numbers, null pointers, no functions (ngx_create_listening).
    let door: &'static mut DoorSocket = Box::leak(Box::new(unsafe { mem::zeroed() }));
    let (socket, length) = listen(&mut door.address)?;
    let digits: String = door.address.sun_path[1..6].iter().map(|c| *c as u8 as char).collect();
    let name = u32::from_str_radix(&digits, 16).map_err(std::io::Error::other)?;
    let door = serve(rtmp, server, door, socket.as_raw_fd(), length)?;
    // From here on, the event loop owns the socket.
    let _ = socket.into_raw_fd();
    DOORS.with(|doors| doors.push(door));
    Ok(name)
}

/// Returns a listening socket with a name that no other process can have taken before, and the length of that name.
fn listen(address: &mut libc::sockaddr_un) -> std::io::Result<(OwnedFd, libc::socklen_t)> {
    let failed = |status: i32| if status < 0 { Err(std::io::Error::last_os_error()) } else { Ok(status) };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let family = size_of::<libc::sa_family_t>() as libc::socklen_t;
    let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    let address: *mut libc::sockaddr = (&raw mut *address).cast();
    // SAFETY: a new socket that is ours; the address has room for any name. Bound with the family alone, the kernel picks an
    // abstract name of NUL and five hex digits (unix(7), "autobind").
    unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let socket = OwnedFd::from_raw_fd(failed(libc::socket(libc::AF_UNIX, kind, 0))?);
        failed(libc::bind(socket.as_raw_fd(), address, family))?;
        failed(libc::listen(socket.as_raw_fd(), BACKLOG))?;
        failed(libc::getsockname(socket.as_raw_fd(), address, &raw mut length))?;
        Ok((socket, length))
    }
}

/// Makes the event loop accept connections to the socket, as connections of the RTMP server.
fn serve(
    rtmp: &Rtmp,
    server: usize,
    door: &'static mut DoorSocket,
    fd: RawFd,
    length: libc::socklen_t,
) -> std::io::Result<&'static mut DoorSocket> {
    // SAFETY: the servers of the running configuration; the settings live as long as the worker, and so
    // does a door. What is filled in is what ngx_event_accept and ngx_rtmp_init_connection read.
    unsafe {
        let core = &**rtmp.ngx_rtmp_core_main_conf;
        let server = *core.servers.elts.cast::<*mut ngx_rtmp_core_srv_conf_t>().add(server);
        let text = ngx_str_t { len: 6, data: c"worker".as_ptr().cast_mut().cast() };
        door.addr.conf = ngx_rtmp_addr_conf_t { ctx: (*server).ctx, addr_text: text, ..mem::zeroed() };
        door.port = ngx_rtmp_port_t { addrs: (&raw mut door.addr).cast(), naddrs: 1 };
        let listening = &mut door.listening;
        listening.fd = fd;
        listening.sockaddr = (&raw mut door.address).cast();
        listening.socklen = length;
        listening.addr_text = text;
        listening.type_ = libc::SOCK_STREAM;
        listening.backlog = BACKLOG;
        listening.handler = Some(rtmp.ngx_rtmp_init_connection);
        listening.servers = (&raw mut door.port).cast();
        listening.pool_size = 4096;
        let cycle = &mut *nginx_sys::ngx_cycle;
        listening.log = *cycle.log;
        listening.logp = &raw mut cycle.new_log;
        let connection = ngx_get_connection(fd, cycle.log);
        let (Some(connection), Some(add)) = (connection.as_mut(), ngx_event_actions.add) else {
            return Err(std::io::Error::other("no connection is free: raise worker_connections"));
        };
        connection.type_ = libc::SOCK_STREAM;
        connection.listening = listening;
        connection.log = &raw mut listening.log;
        listening.connection = connection;
        let read = &mut *connection.read;
        read.log = connection.log;
        read.set_accept(1);
        read.handler = Some(accept);
        if add(read, READ_EVENT, 0) != NGX_OK as ngx_int_t {
            ngx_free_connection(connection);
            connection.fd = -1;
            return Err(std::io::Error::other("the event cannot be added"));
        }
    }
    Ok(door)
}

unsafe extern "C" fn accept(event: *mut nginx_sys::ngx_event_t) {
    callback::guard("a connection of a worker", (), || {
        // SAFETY: nginx's own handler, for an event that was set up as ngx_event_process_init does.
        unsafe { ngx_event_accept(event) }
    });
}

impl<M: Tables> Session<'_, M> {
    /// Returns whether another worker opened the connection, to push a stream here.
    #[must_use]
    pub fn is_from_worker(&self) -> bool {
        is_door(self.connection())
    }

    /// Returns whether this session pushes a stream to another worker ([`push_to_worker`](Self::push_to_worker)).
    #[must_use]
    pub fn goes_to_worker(&self) -> bool {
        let Some(rtmp) = rtmp_sys::rtmp().filter(|_| self.is_relay()) else { return false };
        // SAFETY: the entry of the relay module is null or its own context.
        let relay: Option<&ngx_rtmp_relay_ctx_t> =
            unsafe { slots::entry((*self.as_ptr()).ctx, rtmp.ngx_rtmp_relay_module) };
        relay.is_some_and(|relay| relay.tag == tag::<M>())
    }

    /// Returns the process id of the other end, if the connection is a unix socket.
    #[must_use]
    pub fn peer_pid(&self) -> Option<u32> {
        peer_pid(self.connection())
    }

    /// Returns the workers that this publisher's stream is pushed to, by process id.
    #[must_use]
    pub fn pushed_to(&self) -> Vec<u32> {
        // SAFETY: a live session (`Session::new`).
        unsafe { pushed_to::<M>(self.as_ptr()) }
    }

    /// Pushes this publisher's stream to another worker, over a socket of that worker ([`open`]). Returns whether the connection has begun.
    pub fn push_to_worker(&mut self, name: &str, pid: u32, door: u32) -> bool {
        // SAFETY: a live session (`Session::new`).
        unsafe { push::<M>(self.as_ptr(), name, pid, door) }
    }
}

/// Returns whether a connection came in over a socket of [`open`].
fn is_door(connection: &ngx_connection_t) -> bool {
    let listening = connection.listening;
    // SAFETY: a door is never freed (`open_door`).
    DOORS.with(|doors| doors.iter().any(|door| ptr::eq(unsafe { &raw const (**door).listening }, listening)))
}

/// Returns the process id of the other end of a connection between processes of this machine (SO_PEERCRED).
fn peer_pid(connection: &ngx_connection_t) -> Option<u32> {
    // SAFETY: a plain structure and its length (SO_PEERCRED, unix(7)).
    unsafe {
        let mut peer: libc::ucred = mem::zeroed();
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        let outcome = libc::getsockopt(
            connection.fd,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        );
        (outcome == 0).then_some(peer.pid as u32)
    }
}

/// Returns the workers that a publisher's stream is already pushed to, by process id.
///
/// # Safety
///
/// `session` is alive.
unsafe fn pushed_to<M: Tables>(session: *mut ngx_rtmp_session_t) -> Vec<u32> {
    let mut workers = Vec::new();
    let Some(rtmp) = rtmp_sys::rtmp() else { return workers };
    // SAFETY: the relay module's context of a publisher lists its pushes (ngx_rtmp_relay_create); `data` of
    // those with our tag is the process id that `push` put there.
    unsafe {
        let relay: Option<&ngx_rtmp_relay_ctx_t> = slots::entry((*session).ctx, rtmp.ngx_rtmp_relay_module);
        let mut push = relay.map_or(ptr::null_mut(), |relay| relay.play);
        while let Some(context) = push.as_ref() {
            if context.tag == tag::<M>() {
                workers.push(context.data as usize as u32);
            }
            push = context.next;
        }
    }
    workers
}

/// Pushes a publisher's stream to another worker. Returns whether the connection has begun.
///
/// # Safety
///
/// `session` is alive.
unsafe fn push<M: Tables>(session: *mut ngx_rtmp_session_t, name: &str, pid: u32, door: u32) -> bool {
    let Some(rtmp) = rtmp_sys::rtmp() else { return false };
    let text = |text: &str| ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: nginx-rtmp copies address and names before it returns (ngx_rtmp_relay_create_connection).
    unsafe {
        let mut address: libc::sockaddr_un = mem::zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (at, digit) in (1..).zip(format!("{door:05x}").bytes()) {
            address.sun_path[at] = digit as libc::c_char;
        }
        let length = size_of::<libc::sa_family_t>() + 6;
        let mut addr = ngx_addr_t {
            sockaddr: (&raw mut address).cast(),
            socklen: length as nginx_sys::socklen_t,
            name: text("worker"),
        };
        let mut target: ngx_rtmp_relay_target_t = mem::zeroed();
        target.url.url = text("worker");
        target.url.addrs = &raw mut addr;
        target.url.naddrs = 1;
        target.play_path = text(name);
        target.tag = tag::<M>();
        target.data = pid as usize as *mut c_void;
        (rtmp.ngx_rtmp_relay_push)(session, &mut text(name), &mut target) == NGX_OK as ngx_int_t
    }
}

/// Returns the tag of the module's pushes. nginx-rtmp reconnects pushes with its own tags, and leaves these to the module.
fn tag<M: Tables>() -> *mut c_void {
    M::rtmp_module().cast()
}
