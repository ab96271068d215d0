//! Container formats of a run.

/// Container of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// FLV, for codecs that have numbers in FLV.
    Flv,
    /// MP4, for other codecs.
    Mp4,
}
