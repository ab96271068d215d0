//! Reasons why a connection to a target failed or ended.

/// Why a connection to a target failed or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// nginx has no memory for the connection.
    NoRoom,
    /// The system cannot connect; this is its error number.
    Connect(i32),
    /// The TLS handshake failed.
    Tls(&'static str),
    /// The certificate is invalid.
    Certificate(String),
    /// The other end reset the connection.
    Reset,
    /// The other end closed the connection.
    Closed,
    /// The other end does not read.
    NotReading,
    /// The other end does not answer nginx-rtmp's ping.
    NoPong,
    /// nginx-rtmp ended the connection.
    NotRtmp,
}
