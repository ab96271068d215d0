//! Reads and checks SDP offers (RFC 8866, RFC 9725), and the candidates that a client sends later (RFC 8840). Pure.

/// Most bytes of an offer.
pub(crate) const MOST_BYTES: usize = 64 << 10;
/// Most candidates of a client, in its offer and later. They are counted and not used.
pub(crate) const MOST_CANDIDATES: usize = 64;
/// Most media sections: video, audio, and some that are refused.
const MOST_MEDIA: usize = 4;

/// An error in an offer or a fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The text is not SDP.
    #[error("this is no SDP offer: {0}")]
    Malformed(&'static str),
    /// The text is too long.
    #[error("the offer is longer than {MOST_BYTES} bytes")]
    Long,
    /// There are too many candidates.
    #[error("more than {MOST_CANDIDATES} ICE candidates")]
    Candidates,
    /// The offer asks for something that is not supported.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// An offer that was checked without an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The text without candidates: an ICE-lite server learns addresses from the packets that reach it.
    pub text: String,
    /// The client's user name fragment in ICE.
    pub ufrag: String,
    media: Vec<Media>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Media {
    kind: String,
    has_h264: bool,
    has_opus: bool,
    has_simulcast: bool,
    sends: bool,
    receives: bool,
}

impl Offer {
    /// Reads an offer.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::Long);
        }
        if !text.starts_with("v=0") {
            return Err(Error::Malformed("it does not begin with v=0"));
        }
        let (mut kept, mut candidates) = (String::with_capacity(text.len()), 0);
        let (mut media, mut ufrag): (Vec<Media>, Option<&str>) = (Vec::new(), None);
        for line in text.lines() {
            if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
                candidates += 1;
                continue;
            }
            kept.push_str(line);
            kept.push_str("\r\n");
            if let Some(rest) = line.strip_prefix("m=") {
                let kind = rest.split(' ').next().unwrap_or_default().to_owned();
                media.push(Media { kind, sends: true, receives: true, ..Media::default() });
            } else if let Some(name) = line.strip_prefix("a=ice-ufrag:") {
                ufrag.get_or_insert(name);
            }
            if let Some(media) = media.last_mut() {
                media.note(line);
            }
        }
        if candidates > MOST_CANDIDATES {
            return Err(Error::Candidates);
        }
        if media.is_empty() || media.len() > MOST_MEDIA {
            return Err(Error::Malformed("it needs one to four m= lines"));
        }
        let ufrag = ufrag.filter(|name| (4..=256).contains(&name.len()));
        let ufrag = ufrag.ok_or(Error::Malformed("a=ice-ufrag is missing"))?.to_owned();
        Ok(Self { text: kept, ufrag, media })
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Media> {
        self.media.iter().filter(move |media| media.kind == kind)
    }

    fn has_one_of_each(&self) -> Result<(), Error> {
        if self.media.iter().any(|media| !matches!(media.kind.as_str(), "audio" | "video")) {
            return Err(Error::Unsupported("an offer has m=video and m=audio, and nothing else"));
        }
        if self.of("video").count() > 1 || self.of("audio").count() > 1 {
            return Err(Error::Unsupported("an offer has at most one m=video and one m=audio"));
        }
        Ok(())
    }

    /// Checks that the offer is from a player that can take H.264 or Opus.
    pub(crate) fn check_player(&self) -> Result<(), Error> {
        self.has_one_of_each()?;
        if !self.media.iter().any(|media| media.receives) {
            return Err(Error::Unsupported("a player's offer is a=recvonly"));
        }
        if self.of("video").any(|media| !media.has_h264) {
            return Err(Error::Unsupported("the offer has no H264 for video"));
        }
        if self.of("audio").any(|media| !media.has_opus) {
            return Err(Error::Unsupported("the offer has no opus for audio"));
        }
        Ok(())
    }

    /// Checks that the offer is from a publisher that sends one H.264 track, one Opus track, or both.
    pub(crate) fn check_publisher(&self) -> Result<(), Error> {
        self.has_one_of_each()?;
        if self.media.iter().any(|media| media.has_simulcast) {
            return Err(Error::Unsupported("simulcast is not supported: send one encoding per track"));
        }
        if !self.media.iter().any(|media| media.sends) {
            return Err(Error::Unsupported("a publisher's offer is a=sendonly"));
        }
        if self.of("video").any(|media| !media.has_h264) {
            return Err(Error::Unsupported("the offer has no H264 for video"));
        }
        if self.of("audio").any(|media| !media.has_opus) {
            return Err(Error::Unsupported("the offer has no opus for audio"));
        }
        Ok(())
    }
}

impl Media {
    fn note(&mut self, line: &str) {
        if let Some(map) = line.strip_prefix("a=rtpmap:") {
            let codec = map.split_once(' ').map_or("", |(_, codec)| codec);
            let name = codec.split('/').next().unwrap_or_default();
            self.has_h264 |= name.eq_ignore_ascii_case("H264");
            self.has_opus |= name.eq_ignore_ascii_case("opus");
        }
        match line {
            "a=sendonly" => self.receives = false,
            "a=recvonly" => self.sends = false,
            "a=inactive" => (self.sends, self.receives) = (false, false),
            _ => self.has_simulcast |= line.starts_with("a=simulcast:"),
        }
    }
}

/// Candidates that a client sends after its offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// The user name fragment. A fragment that differs from the offer's asks for an ICE restart.
    pub ufrag: Option<String>,
    /// The number of candidates.
    pub candidates: usize,
}

impl Fragment {
    /// Reads an `application/trickle-ice-sdpfrag`.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::Long);
        }
        let is_line = |line: &str| line.is_empty() || line.as_bytes().get(1) == Some(&b'=');
        if text.trim().is_empty() || !text.lines().all(is_line) {
            return Err(Error::Malformed("a line is not TYPE=VALUE"));
        }
        let candidates = text.lines().filter(|line| line.starts_with("a=candidate:")).count();
        let ufrag = text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).map(str::to_owned);
        if candidates > MOST_CANDIDATES { Err(Error::Candidates) } else { Ok(Self { ufrag, candidates }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        a=ice-ufrag:abcd\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=recvonly\r\na=rtpmap:102 H264/90000\r\n";

    #[test]
    fn an_offer_is_read_and_its_candidates_are_left_out() {
        let offer = Offer::read(OFFER).unwrap();
        assert_eq!(offer.ufrag, "abcd");
        assert!(!offer.text.contains("candidate"));
        assert_eq!(offer.check_player(), Ok(()));
    }

    #[test]
    fn what_cannot_be_served_is_said() {
        let wrong = |text: &str| {
            let read = Offer::read(text).and_then(|offer| offer.check_player());
            read.unwrap_err().to_string()
        };
        assert!(wrong("hello").contains("v=0"));
        assert!(wrong("v=0\r\n").contains("m= lines"));
        assert!(wrong(&OFFER.replace("a=ice-ufrag:abcd\r\n", "")).contains("ice-ufrag"));
        assert!(wrong(&OFFER.replace("H264", "VP8")).contains("no H264"));
        assert!(wrong(&OFFER.replace("opus", "PCMU")).contains("no opus"));
        assert!(wrong(&OFFER.replace("recvonly", "sendonly")).contains("recvonly"));
        assert!(wrong(&OFFER.replace("m=audio", "m=video")).contains("at most one"));
        assert!(wrong(&OFFER.replace("m=audio", "m=application")).contains("nothing else"));
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        assert_eq!(wrong(&format!("{OFFER}{}", line.repeat(64))), Error::Candidates.to_string());
        assert_eq!(wrong(&format!("{OFFER}{}", "a=x\r\n".repeat(20_000))), Error::Long.to_string());
    }

    #[test]
    fn a_publisher_sends_one_encoding() {
        let offer = OFFER.replace("recvonly", "sendonly");
        let check = |text: &str| Offer::read(text).and_then(|offer| offer.check_publisher());
        assert_eq!(check(&offer), Ok(()));
        let simulcast = format!("{offer}a=rid:hi send\r\na=simulcast:send hi;lo\r\n");
        assert!(check(&simulcast).unwrap_err().to_string().contains("simulcast"));
        assert!(check(OFFER).unwrap_err().to_string().contains("sendonly"));
    }

    #[test]
    fn fragments_are_read() {
        let text = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        assert_eq!(Fragment::read(text), Ok(Fragment { ufrag: Some("abcd".into()), candidates: 1 }));
        assert!(Fragment::read("hello").is_err() && Fragment::read("").is_err());
        assert_eq!(Fragment::read(&"a=candidate:1\r\n".repeat(65)), Err(Error::Candidates));
    }
}
