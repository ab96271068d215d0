//! Reasons why a push failed, in words for the admin.

use crate::{guard::Violation, text};

/// Maximum length of a text from a target, in characters.
const MAX_TEXT: usize = 200;

/// The reason why a push failed last. Displays as `last_error` of the API. The text contains no secret, unless the
/// target itself sends one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LastError {
    /// The host name does not exist, or has no address.
    #[error("host not found")]
    HostNotFound,
    /// The resolver did not answer in time.
    #[error("the resolver does not answer")]
    ResolverTimeout,
    /// The look-up failed for another reason.
    #[error("cannot resolve the host: {0}")]
    Resolver(String),
    /// A rule of `weir_push_deny` matches every address of the host.
    #[error("address is denied by weir_push_deny")]
    Denied,
    /// Weir would push the stream to itself.
    #[error("would loop back to this server")]
    Loop,
    /// No server listens at the address.
    #[error("connection refused")]
    Refused,
    /// No server answers at the address.
    #[error("timed out connecting")]
    ConnectTimeout,
    /// The connect failed for another reason, in the words of the system.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The certificate is not trusted, in the words of the TLS library.
    #[error("certificate: {0}")]
    Certificate(String),
    /// TLS failed for another reason.
    #[error("tls: {0}")]
    Tls(String),
    /// TLS or RTMP's handshake began and did not end.
    #[error("timed out in the handshake")]
    HandshakeTimeout,
    /// The handshake ended, but the target did not answer `publish`.
    #[error("timed out waiting for the answer to publish")]
    PublishTimeout,
    /// The target refused the stream, in these words.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The target requires a user and a password, and the URL has none.
    #[error("rejected: it asks for a user and a password, expected user:password@ in the url")]
    NeedsCredentials,
    /// User or password is wrong.
    #[error("rejected: wrong user or password")]
    WrongCredentials,
    /// The target closed the connection.
    #[error("closed by the target")]
    Closed,
    /// The target or a firewall reset the connection.
    #[error("connection reset")]
    Reset,
    /// The guard closed the connection for this reason.
    #[error("closed by weir: {0}")]
    Guarded(Violation),
    /// nginx-rtmp could not parse the data of the target.
    #[error("closed by weir: what it sent is not rtmp")]
    NotRtmp,
    /// The target did not answer pings.
    #[error("closed by weir: it does not answer pings")]
    NoPong,
    /// The target reads no data.
    #[error("does not read: 0 bit/s for 10 s")]
    NotReading,
    /// The worker or the zone has no capacity for another connection.
    #[error("no room for another connection")]
    NoRoom,
}

impl LastError {
    /// Returns one error of each kind, for the documentation's test; `...` replaces texts that vary.
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
        // A new kind does not compile until it is added here and above.
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

    /// Returns the error with the target's own words: code and description of its answer, either of which may be empty.
    pub fn rejected(code: &str, description: &str) -> LastError {
        let text = match (code.trim(), description.trim()) {
            ("", "") => "without a reason".to_owned(),
            ("", text) | (text, "") => text.to_owned(),
            (code, description) if description.contains(code) => description.to_owned(),
            (code, description) => format!("{code}: {description}"),
        };
        LastError::Rejected(one_line(&text))
    }

    /// Returns the error for a TLS library's message about a certificate.
    pub fn certificate(text: &str) -> LastError {
        LastError::Certificate(one_line(text))
    }

    /// Returns the error for another message of the TLS library.
    pub fn tls(text: &str) -> LastError {
        LastError::Tls(one_line(text))
    }

    /// Returns the error for a message of the resolver.
    pub fn resolver(text: &str) -> LastError {
        LastError::Resolver(one_line(text))
    }

    /// Returns the error for the system's answer to a connect, its number on Linux.
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

    /// Returns the name of the reason in metrics and events.
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

/// Converts a text from the other end for a log: one line, of limited length.
fn one_line(text: &str) -> String {
    let mut line: String = text::clean(text).chars().take(MAX_TEXT).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests;
