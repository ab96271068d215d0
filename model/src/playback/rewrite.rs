//! Adds the viewer's token to playlists: `token=` on each URI of this host, in HLS ([`hls`]) and DASH ([`dash`]).
//!
//! [`Rewriter`] reads the bytes of a playlist in pieces of any size. It adds the token only to a URI that certainly
//! leads to this host, because a token that another host could read is worse than a stream that does not play.

use crate::secret::Secret;

mod dash;
mod hls;
mod target;

pub use dash::MAX_MANIFEST;
pub use hls::MAX_LINE;

use target::Target;

/// The format of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistFormat {
    /// M3U8 (RFC 8216).
    Hls,
    /// MPD (ISO/IEC 23009-1).
    Dash,
}

impl PlaylistFormat {
    /// Returns the format by the extension of the path, or else by the type of the answer.
    #[must_use]
    pub fn of(path: &[u8], content_type: &[u8]) -> Option<PlaylistFormat> {
        if path.ends_with(b".m3u8") {
            return Some(PlaylistFormat::Hls);
        }
        if path.ends_with(b".mpd") {
            return Some(PlaylistFormat::Dash);
        }
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |known: &str| essence.eq_ignore_ascii_case(known.as_bytes());
        let hls =
            ["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"];
        match () {
            () if hls.into_iter().any(is) => Some(PlaylistFormat::Hls),
            () if is("application/dash+xml") => Some(PlaylistFormat::Dash),
            () => None,
        }
    }
}

/// Adds a token to the URIs of one playlist.
pub struct Rewriter {
    target: Target,
    machine: Machine,
}

enum Machine {
    Hls(hls::Lines),
    Dash(dash::Whole),
}

impl Rewriter {
    /// Returns a rewriter for a playlist that `host` serves; the caller has verified `token`. If the viewer uses HTTPS
    /// (`is_secure`), no URI with `http://` gets the token.
    #[must_use]
    pub fn new(kind: PlaylistFormat, token: Secret, host: &str, is_secure: bool) -> Rewriter {
        let machine = match kind {
            PlaylistFormat::Hls => Machine::Hls(hls::Lines::default()),
            PlaylistFormat::Dash => Machine::Dash(dash::Whole::default()),
        };
        Rewriter { target: Target { token, host: host.to_ascii_lowercase(), is_secure }, machine }
    }

    /// Reads the next bytes and appends the finished part to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.machine {
            Machine::Hls(lines) => lines.push(bytes, &self.target, out),
            Machine::Dash(whole) => whole.push(bytes, out),
        }
    }

    /// Ends the playlist and appends the rest.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.machine {
            Machine::Hls(lines) => lines.finish(&self.target, out),
            Machine::Dash(whole) => whole.finish(&self.target, out),
        }
    }
}

#[cfg(test)]
mod tests;
