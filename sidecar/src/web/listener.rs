//! Accepts connections, up to a limit, and closes connections that stay idle for long.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use super::patience::{Inbound, Patient};
use super::shares::{Share, Shares};

/// Time until a request must have sent its headers; a connection without a request is closed then.
const HEADERS: Duration = Duration::from_secs(10);
/// Pause before the next accept when the system has no free file descriptor.
const PAUSE: Duration = Duration::from_secs(1);
/// Minimum interval between log lines of one kind.
const QUIET: Duration = Duration::from_secs(60);
/// Answer to a client that exceeds the limit.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";

/// Accepts connections forever.
pub(super) async fn accept(listener: TcpListener, app: Router, shares: Shares) -> Infallible {
    let (mut failed, mut full) = (Quiet::default(), Quiet::default());
    loop {
        let (mut socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client closed the connection before it was accepted.
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                if failed.may_log(Instant::now()) {
                    tracing::error!("[web] cannot accept connections for now: {error}");
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        // A frame must not wait for the next one (Nagle's algorithm).
        let _ = socket.set_nodelay(true);
        match shares.take(peer.ip()) {
            Ok(share) => {
                tokio::spawn(serve(socket, peer, app.clone(), share));
            }
            Err(why) => {
                if full.may_log(Instant::now()) {
                    tracing::warn!("[web] refuses connections: {why}");
                }
                // The answer either fits into the socket's buffer or is lost.
                let _ = socket.try_write(FULL);
                let _ = socket.shutdown().await;
            }
        }
    }
}

async fn serve(socket: TcpStream, peer: SocketAddr, app: Router, share: Share) {
    let inbound = Inbound::default();
    let io = TokioIo::new(Patient::new(socket, inbound.clone(), share));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(inbound.clone());
        app.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    // A client that disconnects is no error.
    let _ = http.serve_connection(io, service).with_upgrades().await;
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Limits how often a message is logged.
#[derive(Default)]
struct Quiet(Option<Instant>);

impl Quiet {
    fn may_log(&mut self, now: Instant) -> bool {
        let may = self.0.is_none_or(|last| now - last >= QUIET);
        if may {
            self.0 = Some(now);
        }
        may
    }
}
