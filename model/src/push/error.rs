//! Why a push failed, in words for the admin.

use crate::{guard::Violation, text};

/// The longest text of a target that is kept, in characters.
const MAX_TEXT: usize = 200;

/// Why a push failed last. Displays as `last_error` of the API: no secret is in it, unless the target
/// itself says one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LastError {
    /// The name does not exist, or has no address.
    #[error("host not found")]
    HostNotFound,
    /// No answer in time.
    #[error("the resolver does not answer")]
    ResolverTimeout,
    /// The look-up failed otherwise.
    #[error("cannot resolve the host: {0}")]
    Resolver(String),
    /// A rule of `weir_push_deny` holds every address of the host.
    #[error("address is denied by weir_push_deny")]
    Denied,
    /// It would push a stream to itself.
    #[error("would loop back to this server")]
    Loop,
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// Nobody answers there.
    #[error("timed out connecting")]
    ConnectTimeout,
    /// The connect failed otherwise: the system's own text.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The certificate is not to be trusted: the TLS library's own text.
    #[error("certificate: {0}")]
    Certificate(String),
    /// TLS failed otherwise.
    #[error("tls: {0}")]
    Tls(String),
    /// TLS or RTMP's handshake began and did not end.
    #[error("timed out in the handshake")]
    HandshakeTimeout,
    /// The handshake ended, and then nothing.
    #[error("timed out waiting for the answer to publish")]
    PublishTimeout,
    /// The target said no, in these words.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The target wants a user and a password, and the URL has none.
    #[error("rejected: it asks for a user and a password, expected user:password@ in the url")]
    NeedsCredentials,
    /// User or password are wrong.
    #[error("rejected: wrong user or password")]
    WrongCredentials,
    /// It ended the connection.
    #[error("closed by the target")]
    Closed,
    /// The connection broke: its end, or a firewall on the way.
    #[error("connection reset")]
    Reset,
    /// The guard closed the connection, for this reason.
    #[error("closed by weir: {0}")]
    Guarded(Violation),
    /// nginx-rtmp could not read what it sent.
    #[error("closed by weir: what it sent is not rtmp")]
    NotRtmp,
    /// It answered no ping.
    #[error("closed by weir: it does not answer pings")]
    NoPong,
    /// It reads nothing of what is sent.
    #[error("does not read: 0 bit/s for 10 s")]
    NotReading,
    /// The worker or the zone has no room.
    #[error("no room for another connection")]
    NoRoom,
}

impl LastError {
    /// Returns one error of each kind, for the documentation's test; a text that differs from case to case is `...`.
    pub fn one_of_each() -> Vec<LastError> {
        let text = || "...".to_owned();
        let errors = vec![
            LastError::HostNotFound,
            LastError::ResolverTimeout,
            LastError::Resolver(text()),
            LastError::Denied,
            LastError::Loop,
            LastError::Refused,
            LastError::ConnectTimeout,
            LastError::Connect(text()),
            LastError::Certificate(text()),
            LastError::Tls(text()),
            LastError::HandshakeTimeout,
            LastError::PublishTimeout,
            LastError::Rejected(text()),
            LastError::NeedsCredentials,
            LastError::WrongCredentials,
            LastError::Closed,
            LastError::Reset,
            LastError::Guarded(Violation::Depth),
            LastError::NotRtmp,
            LastError::NoPong,
            LastError::NotReading,
            LastError::NoRoom,
        ];
        // A new kind does not compile until it has its place here and above.
        for error in &errors {
            match error {
                LastError::HostNotFound
                | LastError::ResolverTimeout
                | LastError::Resolver(_)
                | LastError::Denied
                | LastError::Loop
                | LastError::Refused
                | LastError::ConnectTimeout
                | LastError::Connect(_)
                | LastError::Certificate(_)
                | LastError::Tls(_)
                | LastError::HandshakeTimeout
                | LastError::PublishTimeout
                | LastError::Rejected(_)
                | LastError::NeedsCredentials
                | LastError::WrongCredentials
                | LastError::Closed
                | LastError::Reset
                | LastError::Guarded(_)
                | LastError::NotRtmp
                | LastError::NoPong
                | LastError::NotReading
                | LastError::NoRoom => {}
            }
        }
        errors
    }

    /// The target's own words: code and description of its answer, either of which may be empty.
    pub fn rejected(code: &str, description: &str) -> LastError {
        let text = match (code.trim(), description.trim()) {
            ("", "") => "without a reason".to_owned(),
            ("", text) | (text, "") => text.to_owned(),
            (code, description) if description.contains(code) => description.to_owned(),
            (code, description) => format!("{code}: {description}"),
        };
        LastError::Rejected(one_line(&text))
    }

    /// From what the TLS library says of a certificate.
    pub fn certificate(text: &str) -> LastError {
        LastError::Certificate(one_line(text))
    }

    /// From what else the TLS library says.
    pub fn tls(text: &str) -> LastError {
        LastError::Tls(one_line(text))
    }

    /// From what the resolver says.
    pub fn resolver(text: &str) -> LastError {
        LastError::Resolver(one_line(text))
    }

    /// From the system's answer to a connect, its number on Linux.
    pub fn connect(errno: i32) -> LastError {
        let text = match errno {
            111 => return LastError::Refused,
            110 => return LastError::ConnectTimeout,
            104 => return LastError::Reset,
            101 => "network unreachable",
            113 => "no route to host",
            1 | 13 => "not permitted",
            99 => "no local address to connect from",
            97 => "address family not supported",
            _ => return LastError::Connect(format!("error {errno}")),
        };
        LastError::Connect(text.to_owned())
    }

    /// The name of the reason in metrics and events.
    pub fn label(&self) -> &'static str {
        match self {
            LastError::HostNotFound => "host_not_found",
            LastError::ResolverTimeout => "resolver_timeout",
            LastError::Resolver(_) => "resolver",
            LastError::Denied => "denied",
            LastError::Loop => "loop",
            LastError::Refused => "refused",
            LastError::ConnectTimeout => "connect_timeout",
            LastError::Connect(_) => "connect",
            LastError::Certificate(_) => "certificate",
            LastError::Tls(_) => "tls",
            LastError::HandshakeTimeout => "handshake_timeout",
            LastError::PublishTimeout => "publish_timeout",
            LastError::Rejected(_) => "rejected",
            LastError::NeedsCredentials => "needs_credentials",
            LastError::WrongCredentials => "wrong_credentials",
            LastError::Closed => "closed",
            LastError::Reset => "reset",
            LastError::Guarded(_) => "guarded",
            LastError::NotRtmp => "not_rtmp",
            LastError::NoPong => "no_pong",
            LastError::NotReading => "not_reading",
            LastError::NoRoom => "no_room",
        }
    }
}

/// What a stranger wrote, fit for a log: one line, not too long.
fn one_line(text: &str) -> String {
    let mut line: String = text::clean(text).chars().take(MAX_TEXT).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests;
