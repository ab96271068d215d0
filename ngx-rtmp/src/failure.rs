//! Why a connection to a target failed, or ended.

/// Why a connection to a target failed, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// nginx has no room for it.
    NoRoom,
    /// The system cannot connect: its error number.
    Connect(i32),
    /// TLS was not agreed on.
    Tls(&'static str),
    /// The certificate is not right.
    Certificate(String),
    /// The other end broke it off.
    Reset,
    /// The other end closed it.
    Closed,
    /// The other end takes nothing.
    NotReading,
    /// The other end does not answer nginx-rtmp's ping.
    NoPong,
    /// nginx-rtmp ended it.
    NotRtmp,
}
