//! Reads and checks the SDP answer of a WHEP server (RFC 8866, RFC 8839). Pure.

use std::net::SocketAddr;

/// Most bytes of an answer.
pub(super) const MOST_BYTES: usize = 64 << 10;
/// Most candidates that are used, and most candidate lines of an answer.
const MOST_USED: usize = 8;
const MOST_CANDIDATES: usize = 64;

/// Reason why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The text is not an SDP answer.
    #[error("the answer is no SDP: {0}")]
    Malformed(&'static str),
    /// The text is too long.
    #[error("the answer is longer than {MOST_BYTES} bytes")]
    Long,
    /// There are too many candidates.
    #[error("the answer has more than {MOST_CANDIDATES} ICE candidates")]
    Candidates,
    /// The server sends neither H.264 nor Opus.
    #[error("the server sends neither H.264 nor Opus")]
    Nothing,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The text without candidates.
    pub(super) text: String,
    /// The UDP addresses of the server, and their candidate lines.
    pub(super) candidates: Vec<(SocketAddr, String)>,
    /// The server may send video.
    pub(super) has_video: bool,
}

impl Answer {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::Long);
        }
        if !text.starts_with("v=0") {
            return Err(Error::Malformed("it does not begin with v=0"));
        }
        let (mut kept, mut lines, mut candidates) = (String::with_capacity(text.len()), 0, Vec::new());
        // Whether the server sends, by kind: video and audio.
        let mut sends: Vec<(bool, bool)> = Vec::new();
        let (mut has_name, mut has_fingerprint) = (false, false);
        for line in text.lines() {
            if let Some(candidate) = line.strip_prefix("a=").filter(|rest| rest.starts_with("candidate:")) {
                lines += 1;
                if let Some(at) =
                    address(candidate).filter(|at| !candidates.iter().any(|(known, _)| known == at))
                {
                    candidates.push((at, candidate.to_owned()));
                }
                continue;
            }
            if line == "a=end-of-candidates" {
                continue;
            }
            kept.push_str(line);
            kept.push_str("\r\n");
            if let Some(rest) = line.strip_prefix("m=") {
                let is_refused = rest.split(' ').nth(1) == Some("0");
                sends.push((rest.starts_with("video "), !is_refused));
            }
            has_name |= line.starts_with("a=ice-ufrag:");
            has_fingerprint |= line.starts_with("a=fingerprint:");
            if matches!(line, "a=recvonly" | "a=inactive")
                && let Some((_, sends)) = sends.last_mut()
            {
                *sends = false;
            }
        }
        if lines > MOST_CANDIDATES {
            return Err(Error::Candidates);
        }
        if !has_name || !has_fingerprint {
            return Err(Error::Malformed("a=ice-ufrag or a=fingerprint is missing"));
        }
        if !sends.iter().any(|(_, sends)| *sends) {
            return Err(Error::Nothing);
        }
        candidates.truncate(MOST_USED);
        Ok(Self { text: kept, candidates, has_video: sends.contains(&(true, true)) })
    }
}

/// Returns the address of a candidate for RTP over UDP: `candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host`. A candidate with a host
/// name has none.
fn address(candidate: &str) -> Option<SocketAddr> {
    let mut words = candidate.split(' ').skip(1);
    let (component, protocol) = (words.next()?, words.next()?);
    let (host, port) = (words.nth(1)?, words.next()?);
    let is_udp = component == "1" && protocol.eq_ignore_ascii_case("udp");
    let at = SocketAddr::new(host.parse().ok()?, port.parse().ok().filter(|port| *port != 0)?);
    (is_udp && !at.ip().is_unspecified() && !at.ip().is_multicast()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=fingerprint:sha-256 AB\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=inactive\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=sendonly\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=candidate:2 1 tcp 1 192.0.2.1 9 typ host tcptype passive\r\n\
        a=candidate:3 1 UDP 1 ::1 9 typ srflx\r\na=candidate:4 1 udp 1 a.local 9 typ host\r\na=candidate:5 1 udp 1 0.0.0.0 9 typ host\r\n";

    #[test]
    fn candidates_over_udp_are_found_and_taken_out() {
        let answer = Answer::read(ANSWER).unwrap();
        let at: Vec<String> = answer.candidates.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(at, ["192.0.2.1:9", "[::1]:9"]);
        assert!(!answer.text.contains("candidate") && answer.has_video);
        assert!(
            !Answer::read(&ANSWER.replace("inactive", "sendonly").replace("m=video 9", "m=video 0"))
                .unwrap()
                .has_video
        );
    }

    #[test]
    fn what_is_no_answer_is_said() {
        let wrong = |text: &str| Answer::read(text).unwrap_err();
        assert!(wrong("<html>").to_string().contains("v=0"));
        assert!(wrong(&ANSWER.replace("fingerprint", "x")).to_string().contains("fingerprint"));
        assert_eq!(wrong(&ANSWER.replace("sendonly", "inactive")), Error::Nothing);
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        assert_eq!(wrong(&format!("{ANSWER}{}", line.repeat(64))), Error::Candidates);
        assert_eq!(wrong(&format!("{ANSWER}{}", "a=x\r\n".repeat(20_000))), Error::Long);
    }
}
