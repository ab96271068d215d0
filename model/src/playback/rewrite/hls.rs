//! M3U8: a line is a URI, a comment, or a tag whose attribute `URI` contains one (RFC 8216, section 4).

use super::target::{Place, Target};

/// The longest line of an HLS playlist that is rewritten, in bytes; a longer one stays unchanged.
pub const MAX_LINE: usize = 64 * 1024;

/// Lines that arrive in pieces.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    state: State,
    /// Whether the line is too long to buffer, so that its rest passes unchanged.
    is_overlong: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first line has not arrived.
    #[default]
    Start,
    /// The first line was `#EXTM3U`.
    Playlist,
    /// The first line was another one, so the text is not a playlist.
    Other,
}

impl Lines {
    pub(super) fn push(&mut self, mut bytes: &[u8], target: &Target, out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            bytes = rest;
            if self.line.is_empty() && end.is_some() && !self.is_overlong && piece.len() <= MAX_LINE {
                self.whole_line(piece, target, out);
                continue;
            }
            self.keep(piece, out);
            if end.is_some() {
                self.end_of_line(target, out);
            }
        }
    }

    pub(super) fn finish(&mut self, target: &Target, out: &mut Vec<u8>) {
        self.end_of_line(target, out);
    }

    fn keep(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !self.is_overlong && self.line.len() + piece.len() <= MAX_LINE {
            self.line.extend_from_slice(piece);
            return;
        }
        self.is_overlong = true;
        out.append(&mut self.line);
        out.extend_from_slice(piece);
    }

    fn end_of_line(&mut self, target: &Target, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_overlong) {
            // The first line of a playlist is never this long.
            if self.state == State::Start {
                self.state = State::Other;
            }
            return;
        }
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.whole_line(&line, target, out);
            self.line = line;
            self.line.clear();
        }
    }

    fn whole_line(&mut self, line: &[u8], target: &Target, out: &mut Vec<u8>) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let end = &line[text.len()..];
        match self.state {
            State::Start => {
                let first = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
                self.state = match first.trim_ascii_end() {
                    b"#EXTM3U" => State::Playlist,
                    _ => State::Other,
                };
                out.extend_from_slice(line);
            }
            State::Other => out.extend_from_slice(line),
            State::Playlist if text.starts_with(b"#") => {
                tag(text, target, out);
                out.extend_from_slice(end);
            }
            State::Playlist => {
                uri(text, target, out);
                out.extend_from_slice(end);
            }
        }
    }
}

fn uri(text: &[u8], target: &Target, out: &mut Vec<u8>) {
    // Players remove blanks at the end of a line.
    let trimmed = text.trim_ascii_end();
    match target.place(trimmed) {
        Place::Relative | Place::Here => {
            target.put(trimmed, b"&", out);
            out.extend_from_slice(&text[trimmed.len()..]);
        }
        Place::Elsewhere => out.extend_from_slice(text),
    }
}

/// Rewrites a tag: the values of its attributes named `URI` (RFC 8216, section 4.2).
fn tag(text: &[u8], target: &Target, out: &mut Vec<u8>) {
    let colon = text.iter().position(|byte| *byte == b':').filter(|_| text.starts_with(b"#EXT-X-"));
    let Some(colon) = colon else { return out.extend_from_slice(text) };
    let mut rest = colon + 1;
    out.extend_from_slice(&text[..rest]);
    while rest < text.len() {
        let (value, end) = attribute(text, rest);
        let name = text[rest..].split(|byte| matches!(byte, b'=' | b',')).next().unwrap_or_default();
        match quoted(&text[value..end]) {
            Some(uri_text) if name.trim_ascii() == b"URI" && target.place(uri_text) != Place::Elsewhere => {
                // Up to the opening quote, then the URI, then the rest from the closing quote on.
                out.extend_from_slice(&text[rest..=value]);
                target.put(uri_text, b"&", out);
                out.extend_from_slice(&text[value + 1 + uri_text.len()..end]);
            }
            _ => out.extend_from_slice(&text[rest..end]),
        }
        if end < text.len() {
            out.push(b',');
        }
        rest = end + 1;
    }
}

/// Returns where the value of the attribute at `from` begins, and where the attribute ends: at a comma outside of
/// quotes.
fn attribute(text: &[u8], from: usize) -> (usize, usize) {
    let mut value = None;
    let mut is_quoted = false;
    for (offset, byte) in text[from..].iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'=' if value.is_none() => value = Some(from + offset + 1),
            b',' if !is_quoted => return (value.unwrap_or(from + offset), from + offset),
            _ => {}
        }
    }
    (value.unwrap_or(text.len()), text.len())
}

/// Returns the text inside the quotes at the start of a value.
fn quoted(value: &[u8]) -> Option<&[u8]> {
    let inner = value.strip_prefix(b"\"")?;
    Some(&inner[..inner.iter().position(|byte| *byte == b'"')?])
}
