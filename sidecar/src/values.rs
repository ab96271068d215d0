//! The types of option values. Values are checked while the command line is read, so an invalid value is reported as wrong usage.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use weir_model::token::Action;
use weir_model::{StreamName, Timestamp};

pub(crate) mod vrrp;

/// Reason why a value is not accepted. clap puts the option's name in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(String);

impl ValueError {
    /// Creates an error that says what would be right.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(what.into()))
}

/// HOST or HOST:PORT, as in an `rtmp://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host(pub String);

impl FromStr for Host {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let host = s.strip_prefix("rtmp://").unwrap_or(s).trim_end_matches('/');
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b)) {
            return wrong("write a host as stream.example.org, 192.0.2.1:1935 or [2001:db8::1]");
        }
        Ok(Self(host.into()))
    }
}

/// One stream, or `*` (`None`) for all streams of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamOrAll(pub Option<StreamName>);

impl FromStr for StreamOrAll {
    type Err = weir_model::stream_name::NameError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s == "*" { Ok(Self(None)) } else { s.parse().map(|name| Self(Some(name))) }
    }
}

impl fmt::Display for StreamOrAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("*", StreamName::as_str))
    }
}

/// A duration in whole seconds, as `1h30m`, `45s`, `30d`. A number needs a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

impl Span {
    /// Returns a duration of this many seconds.
    pub(crate) fn of(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns the number of seconds.
    pub(crate) fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

/// Writes the duration in the largest unit that gives a whole number.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
        let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, "s"));
        write!(f, "{}{name}", seconds / unit)
    }
}

impl FromStr for Span {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        const HOW: &str = "write a time as 90s, 10m, 12h, 30d or 1h30m";
        if !s.is_empty() && s.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong(format!("{s} of what? write {s}s, {s}m or {s}h"));
        }
        let mut total: u64 = 0;
        let mut rest = s;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let (unit, next) = match tail.chars().next() {
                Some('s') => (1, &tail[1..]),
                Some('m') => (60, &tail[1..]),
                Some('h') => (3_600, &tail[1..]),
                Some('d') => (86_400, &tail[1..]),
                Some('w') => (604_800, &tail[1..]),
                _ => return wrong(HOW),
            };
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
            total = match part.and_then(|p| total.checked_add(p)) {
                // A century is longer than any key needs, and keeps later sums far from overflow.
                Some(sum) if sum <= 100 * 366 * 86_400 => sum,
                _ => return wrong(HOW),
            };
            rest = next;
        }
        if s.is_empty() { wrong(HOW) } else { Ok(Self(Duration::from_secs(total))) }
    }
}

/// An interval, from 1 second to 1 hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub Duration);

impl FromStr for Interval {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match s.parse::<Span>()? {
            span if (1..=3_600).contains(&span.seconds()) => Ok(Self(span.0)),
            _ => wrong("must be a time from 1s to 1h"),
        }
    }
}

/// Id of an RTMP player: `s` and hex digits, as in the API's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlayerId(String);

impl FromStr for PlayerId {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match s.strip_prefix('s') {
            Some(hex) if (1..=16).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Self(s.into()))
            }
            _ => wrong("write a player's id as s1a1fa7426240003, from the API's list of players"),
        }
    }
}

impl fmt::Display for PlayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// End of a key's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// At this time.
    At(Timestamp),
    /// After this duration, counted from now.
    After(Span),
}

impl Expiry {
    /// Returns the end, in whole seconds.
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(span) => Timestamp::from_millis(now.as_seconds() * 1000).plus_seconds(span.seconds()),
        }
    }
}

impl FromStr for Expiry {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match (s.parse::<Span>(), s.parse::<Timestamp>()) {
            (Ok(span), _) => Ok(Self::After(span)),
            (_, Ok(at)) => Ok(Self::At(at)),
            (Err(why), _) if s.bytes().all(|byte| byte.is_ascii_digit()) && !s.is_empty() => Err(why),
            _ => wrong("write a time as 2026-12-24T18:00:00Z, or 30d, 12h, 90m from now"),
        }
    }
}

/// Start of a requested period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// A point in time.
    At(Timestamp),
    /// A duration before now.
    Before(Span),
}

impl Since {
    /// Returns the start.
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Before(span) => {
                Timestamp::from_millis(now.as_millis().saturating_sub(span.seconds().saturating_mul(1000)))
            }
        }
    }
}

impl FromStr for Since {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match (s.parse::<Span>(), s.parse::<Timestamp>()) {
            (Ok(span), _) => Ok(Self::Before(span)),
            (_, Ok(at)) => Ok(Self::At(at)),
            _ => wrong("write a time as 2026-12-24T18:00:00Z, or 30d, 12h, 90m ago"),
        }
    }
}

/// Permission of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActionName {
    /// to watch
    Play,
    /// to send
    Publish,
    /// to write in the chat under a name
    Chat,
}

impl ActionName {
    /// Returns the name of the action in the API of nginx.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Publish => "publish",
            Self::Chat => "chat",
        }
    }

    /// Returns the action on a stream, or `None` for the chat.
    pub(crate) fn of_nginx(self) -> Option<Action> {
        match self {
            Self::Play => Some(Action::Play),
            Self::Publish => Some(Action::Publish),
            Self::Chat => None,
        }
    }
}

/// Width and height in pixels, both even (4:2:0 needs that), from 64 to 7680.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameSize {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

impl FromStr for FrameSize {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let side = |t: &str| t.parse().ok().filter(|n: &u16| (64..=7680).contains(n) && n.is_multiple_of(2));
        match s.split_once('x').map(|(w, h)| (side(w), side(h))) {
            Some((Some(width), Some(height))) => Ok(Self { width, height }),
            _ => wrong("write a size as 1280x720, even numbers from 64 to 7680"),
        }
    }
}

/// Whole frames per second, from 1 to 120. Each second then begins with a frame and a beep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRate(pub u8);

impl FromStr for FrameRate {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match s.parse() {
            Ok(n @ 1..=120) => Ok(Self(n)),
            _ => wrong("must be a whole number from 1 to 120"),
        }
    }
}

/// A bitrate in bits per second, as `2500k`, `4M` or `2500000`, from 50k to 200M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bitrate(pub u64);

impl FromStr for Bitrate {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let (number, unit) = match s.as_bytes().last() {
            Some(b'k' | b'K') => (&s[..s.len() - 1], 1_000),
            Some(b'm' | b'M') => (&s[..s.len() - 1], 1_000_000),
            _ => (s, 1),
        };
        match number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)) {
            Some(rate @ 50_000..=200_000_000) => Ok(Self(rate)),
            _ => wrong("write a bitrate as 2500k or 4M, from 50k to 200M"),
        }
    }
}

/// Network capacity in bits per second, with k, m, g or t for the powers of 1000: `1g`, `500m`, from 1k to 100t.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub u64);

impl FromStr for Rate {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let (number, unit) = match s.as_bytes().last() {
            Some(b'k' | b'K') => (&s[..s.len() - 1], 1_000),
            Some(b'm' | b'M') => (&s[..s.len() - 1], 1_000_000),
            Some(b'g' | b'G') => (&s[..s.len() - 1], 1_000_000_000),
            Some(b't' | b'T') => (&s[..s.len() - 1], 1_000_000_000_000),
            _ => (s, 1),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        let whole = whole.parse::<u64>().ok().filter(|_| is_number).and_then(|n| n.checked_mul(unit));
        let part = part.bytes().rfold(0, |sum, byte| (sum + u64::from(byte & 15) * unit) / 10);
        match whole.and_then(|whole| whole.checked_add(part)) {
            Some(rate @ 1_000..=100_000_000_000_000) => Ok(Self(rate)),
            _ => wrong("write a rate as 1g or 500m, bits per second from 1k to 100t"),
        }
    }
}

/// A size in bytes, with k, m, g or t for the powers of 1024, as nginx writes them: `500m`, `2g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub u64);

impl FromStr for Size {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        const HOW: &str = "write a size as 500m, 20g or 1t";
        let (digits, shift) = match s.as_bytes().last() {
            Some(b'k' | b'K') => (&s[..s.len() - 1], 10),
            Some(b'm' | b'M') => (&s[..s.len() - 1], 20),
            Some(b'g' | b'G') => (&s[..s.len() - 1], 30),
            Some(b't' | b'T') => (&s[..s.len() - 1], 40),
            _ => (s, 0),
        };
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return wrong(HOW);
        }
        if shift == 0 && digits.parse() != Ok(0_u64) && !digits.is_empty() {
            return wrong(format!("{s} of what? write {s}m or {s}g"));
        }
        match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)) {
            Some(size) => Ok(Self(size)),
            None => wrong(HOW),
        }
    }
}

/// Text in the video: 1 to 40 characters that need no escaping in an ffmpeg filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(String);

impl Label {
    /// Returns the label that is most similar to any text. Characters that are not allowed become `_`.
    pub(crate) fn near(text: &str) -> Self {
        let near: String = text.chars().take(40).map(|c| if Self::allows(c) { c } else { '_' }).collect();
        Self(if near.is_empty() { "_".into() } else { near })
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn allows(c: char) -> bool {
        c.is_ascii_alphanumeric() || " ._-/+".contains(c)
    }
}

impl FromStr for Label {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        if s.is_empty() || s.chars().count() > 40 || !s.chars().all(Self::allows) {
            return wrong("must be 1 to 40 letters, digits, spaces and . _ - / +");
        }
        Ok(Self(s.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(s: &str) -> Option<u64> {
        s.parse::<Span>().ok().map(Span::seconds)
    }

    #[test]
    fn spans_are_read_as_nginx_writes_them() {
        assert_eq!(span("0s"), Some(0));
        assert_eq!(span("1h30m"), Some(5400));
        assert_eq!(span("30d"), Some(2_592_000));
        assert_eq!(span("2w"), Some(1_209_600));
        for bad in ["", "s", "1x", "h1", "1h30", "-1s", "1 h", "99999999999999999999s", "9000w", "1.5h", "1µ"]
        {
            assert_eq!(span(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_rate_may_have_a_fraction() {
        let rates = ["1.5g", "0.25m", "1.g", "1.-5g"].map(|text| text.parse().ok());
        assert_eq!(rates, [Some(Rate(1_500_000_000)), Some(Rate(250_000)), None, None]);
    }

    #[test]
    fn a_number_alone_is_no_time() {
        let said = [
            "3".parse::<Span>().unwrap_err(),
            "3".parse::<Interval>().unwrap_err(),
            "3".parse::<Expiry>().unwrap_err(),
        ];
        assert_eq!(said.map(|why| why.to_string()), ["3 of what? write 3s, 3m or 3h"; 3]);
    }

    #[test]
    fn a_span_is_shown_as_people_write_it() {
        for (span, shown) in
            [("0s", "0s"), ("90s", "90s"), ("120s", "2m"), ("2w", "14d"), ("36h", "36h"), ("48h", "2d")]
        {
            assert_eq!(span.parse::<Span>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn intervals_and_players() {
        assert_eq!("90s".parse(), Ok(Interval(Duration::from_secs(90))));
        assert!("0s".parse::<Interval>().is_err() && "2h".parse::<Interval>().is_err());
        assert_eq!("s1f".parse::<PlayerId>().unwrap().to_string(), "s1f");
        for bad in ["", "s", "1f", "s1g", "s/..", "s0123456789abcdef0"] {
            assert!(bad.parse::<PlayerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_expiry_is_a_time_or_a_length() {
        let now: Timestamp = "2026-11-20T18:00:00.75Z".parse().unwrap();
        let at = |s: &str| s.parse::<Expiry>().unwrap().at(now).to_string();
        assert_eq!(at("12h"), "2026-11-21T06:00:00Z");
        assert_eq!(at("2026-12-24T18:00:00Z"), "2026-12-24T18:00:00Z");
        assert_eq!(at("2026-12-24T18:00:00+01:00"), "2026-12-24T17:00:00Z");
        let error = "tomorrow".parse::<Expiry>().unwrap_err().to_string();
        assert!(error.contains("2026-12-24T18:00:00Z"), "{error}");
    }

    #[test]
    fn hosts_for_obs() {
        let host = |s: &str| s.parse::<Host>().map(|h| h.0).ok();
        assert_eq!(host("rtmp://stream.example.org/").as_deref(), Some("stream.example.org"));
        assert_eq!(host("[2001:db8::1]:1935").as_deref(), Some("[2001:db8::1]:1935"));
        assert_eq!(host("example.org/live"), None);
        assert_eq!(host(""), None);
    }

    #[test]
    fn one_stream_or_all() {
        assert_eq!("*".parse(), Ok(StreamOrAll(None)));
        assert_eq!("show".parse::<StreamOrAll>().unwrap().to_string(), "show");
        assert!("s*".parse::<StreamOrAll>().is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!("2g".parse(), Ok(Size(2 << 30)));
        assert_eq!("0".parse(), Ok(Size(0)));
        assert_eq!("500".parse::<Size>().unwrap_err().to_string(), "500 of what? write 500m or 500g");
        for bad in ["", "g", "1.5g", "-1", "+1k", "99999999999t"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pictures() {
        assert_eq!("1280x720".parse(), Ok(FrameSize { width: 1280, height: 720 }));
        for bad in ["1281x720", "0x0", "1280", "1280x", "1280x720x3", "70000x2"] {
            assert!(bad.parse::<FrameSize>().is_err(), "{bad}");
        }
        assert_eq!("2500k".parse(), Ok(Bitrate(2_500_000)));
        assert_eq!("4M".parse(), Ok(Bitrate(4_000_000)));
        assert!("1k".parse::<Bitrate>().is_err() && "k".parse::<Bitrate>().is_err());
        assert_eq!("30".parse(), Ok(FrameRate(30)));
        assert!("29.97".parse::<FrameRate>().is_err() && "0".parse::<FrameRate>().is_err());
    }

    #[test]
    fn labels_hold_nothing_that_a_filter_would_read() {
        assert!("Hall 2 / left".parse::<Label>().is_ok());
        for bad in ["", "a:b", "%{pts}", "it's", "a\\b", "a,b", "[v]", "ü"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert_eq!(Label::near("li've:1").as_str(), "li_ve_1");
    }
}
