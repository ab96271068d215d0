//! Limits the length of an event, because the decoder stores an event until its end.

use tracing::warn;

/// Longest event, in bytes. The module's events have about 2 KB at most.
const MOST: usize = 256 << 10;

/// Passes complete events on, and drops those that are too long.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// The event that is not complete yet.
    begun: Vec<u8>,
    /// The current event is too long: its remaining bytes are dropped.
    is_skipping: bool,
    /// The current line is not empty.
    is_line_begun: bool,
    /// The last byte was a carriage return, which ended its line.
    is_after_return: bool,
    is_told: bool,
}

impl Limiter {
    /// Takes bytes, and returns the events that they complete. An event ends with an empty line, and a line ends with CR, LF or both
    /// (HTML Standard, section 9.2.5).
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for byte in bytes {
            if !self.is_skipping {
                self.begun.push(*byte);
            }
            if self.ends_event(*byte) {
                whole.append(&mut self.begun);
                self.is_skipping = false;
            } else if self.begun.len() > MOST {
                self.skip();
            }
        }
        whole
    }

    fn ends_event(&mut self, byte: u8) -> bool {
        let ends_line = byte == b'\r' || byte == b'\n' && !self.is_after_return;
        let is_line_begun = self.is_line_begun;
        if byte != b'\n' || ends_line {
            self.is_line_begun = !ends_line;
        }
        self.is_after_return = byte == b'\r';
        ends_line && !is_line_begun
    }

    fn skip(&mut self) {
        self.begun = Vec::new();
        self.is_skipping = true;
        if !std::mem::replace(&mut self.is_told, true) {
            warn!("an event of nginx is left out: it is longer than {} KB", MOST >> 10);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_events_are_passed_on() {
        let text = b": hello\n\nid: 1\ndata: x\n\nid: 2\r\ndata: y\r\n\r\nid: 3\rdata: z\r\rid: 4\n";
        for step in 1..text.len() {
            let mut limiter = Limiter::default();
            let passed: Vec<u8> = text.chunks(step).flat_map(|bytes| limiter.pass(bytes)).collect();
            assert_eq!(passed, &text[..text.len() - "id: 4\n".len()], "{step}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_left_out_and_the_next_is_not() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            for length in [MOST, 3 * MOST] {
                let mut limiter = Limiter::default();
                let long = format!("id: 1{end}data: {}{end}id: 2{end}", "x".repeat(length));
                let passed: Vec<u8> =
                    long.as_bytes().chunks(10_000).flat_map(|bytes| limiter.pass(bytes)).collect();
                let text = String::from_utf8(passed).unwrap();
                assert!(!text.contains('x') && text.contains("id: 2") && limiter.is_told, "{text:?}");
                assert!(limiter.begun.capacity() <= MOST * 2);
            }
        }
    }
}
