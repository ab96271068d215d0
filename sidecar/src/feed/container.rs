//! How a run is worded.

/// How a run is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// The codecs that FLV has numbers for.
    Flv,
    /// The others.
    Mp4,
}
