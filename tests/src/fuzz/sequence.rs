//! The actions of one connection, as bytes and pauses, and their form in a file.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

/// One step of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits until data has arrived since the step before, up to a time limit.
    Await(Duration),
    /// Does nothing.
    Pause(Duration),
    /// Stops sending, but continues to read.
    HalfClose,
    /// Ends with a reset instead of an orderly close.
    Reset,
}

/// The life of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its source address in 127.0.0.0/8.
    pub from: Ipv4Addr,
    /// Its steps; after them it closes.
    pub steps: Vec<Step>,
}

/// Why a file cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a step of a sequence: {0:?}")]
pub struct Unreadable(String);

impl Sequence {
    /// Returns all sequences of a file.
    pub fn read_all(text: &str) -> Result<Vec<Self>, Unreadable> {
        let mut all: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let unreadable = || Unreadable(line.chars().take(40).collect());
            if let Some(from) = line.strip_prefix("from ") {
                let from = from.parse().map_err(|_| unreadable())?;
                all.push(Self { from, steps: Vec::new() });
            } else {
                let step = line.parse().map_err(|()| unreadable())?;
                all.last_mut().ok_or_else(unreadable)?.steps.push(step);
            }
        }
        Ok(all)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from {}", self.from)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => {
                f.write_str("send ")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Await(time) => write!(f, "await {}", time.as_millis()),
            Self::Pause(time) => write!(f, "pause {}", time.as_millis()),
            Self::HalfClose => f.write_str("half-close"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let time = || rest.parse().map(Duration::from_millis).map_err(|_| ());
        Ok(match word {
            "send" => Self::Send(hex(rest).ok_or(())?),
            "await" => Self::Await(time()?),
            "pause" => Self::Pause(time()?),
            "half-close" => Self::HalfClose,
            "reset" => Self::Reset,
            _ => return Err(()),
        })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_come_back_from_their_file() {
        for number in 0..200 {
            let sequence = crate::fuzz::sequence(7, number);
            assert_eq!(sequence, crate::fuzz::sequence(7, number));
            assert_eq!(Sequence::read_all(&sequence.to_string()), Ok(vec![sequence]));
        }
    }

    #[test]
    fn what_is_no_sequence_is_told() {
        for text in ["send 00\n", "from 127.0.0.1\nsend 0g\n", "from 127.0.0.1\njump\n", "from nowhere\n"] {
            assert!(Sequence::read_all(text).is_err(), "{text}");
        }
    }
}
