//! A connection that ends when its client reads nothing for long, or sends more than allowed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::shares::Share;

/// Time after which a client that reads nothing is disconnected. Live media has its own shorter limit.
const STALL: Duration = Duration::from_secs(30);

/// Send buffer in bytes for a client that gets few and small messages. The kernel doubles this value for its own records; without a
/// limit it uses up to 4 MB.
const SMALL: usize = 64 << 10;

/// Number of bytes that may still arrive; unlimited until [`Inbound::allow`] sets a limit.
#[derive(Clone, Debug)]
pub(super) struct Inbound(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    bytes: AtomicI64,
    is_small: AtomicBool,
}

impl Default for Inbound {
    fn default() -> Self {
        Self(Arc::new(Limits { bytes: AtomicI64::new(i64::MAX), is_small: AtomicBool::new(false) }))
    }
}

impl Inbound {
    /// Allows this number of bytes until the next call.
    pub(super) fn allow(&self, bytes: i64) {
        self.0.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Makes the kernel use a small send buffer, from the next write on.
    pub(super) fn small(&self) {
        self.0.is_small.store(true, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.bytes.load(Ordering::Relaxed) == i64::MAX
            || self.0.bytes.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }
}

/// The connection; it holds its share of the connection limit until it is dropped.
pub(super) struct Patient {
    socket: TcpStream,
    inbound: Inbound,
    /// Time of disconnection, while the client reads nothing.
    deadline: Option<Pin<Box<Sleep>>>,
    _share: Share,
}

impl Patient {
    pub(super) fn new(socket: TcpStream, inbound: Inbound, share: Share) -> Self {
        Self { socket, inbound, deadline: None, _share: share }
    }

    fn taken<T>(&mut self, poll: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.deadline = None;
            return poll;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.socket).poll_read(context, buffer);
        if poll.is_ready() && !self.inbound.take(buffer.filled().len() - before) {
            return Poll::Ready(Err(io::Error::other("the client sends too much")));
        }
        poll
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.inbound.0.is_small.swap(false, Ordering::Relaxed) {
            // If this fails, the client only uses more memory.
            let _ = set_socket_send_buffer_size(&self.socket, SMALL);
        }
        let poll = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.taken(poll, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.socket).poll_write_vectored(context, bytes);
        self.taken(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
