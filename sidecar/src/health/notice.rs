//! A notice of keepalived: the state of an instance or a group, from a script's arguments or a line of its FIFO.

use std::fmt;

use crate::values::vrrp::Who;

/// Role of a machine for tasks that only one machine may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// This machine does the tasks.
    Active,
    /// Another machine does the tasks, or none.
    Standby,
}

impl Role {
    /// Returns the role of keepalived's word. Returns `None` for words that are no state: `MASTER_RX_LOWER_PRI`, and words of newer
    /// versions.
    pub(crate) fn of_state(word: &str) -> Option<Self> {
        match word {
            "MASTER" => Some(Self::Active),
            "BACKUP" | "FAULT" | "STOP" | "DELETED" => Some(Self::Standby),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Standby => "standby",
        })
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The instance or group.
    pub who: Who,
    /// Its new role.
    pub role: Role,
}

/// Error of a line that is not a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a line of keepalived's notify fifo")]
pub(crate) struct NoticeError;

impl Notice {
    /// Parses a line of the notify FIFO without its end: `INSTANCE "VI_1" MASTER 100`. Returns `None` if the line reports no state.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, NoticeError> {
        let (kind, rest) = line.split_once(" \"").ok_or(NoticeError)?;
        // keepalived escapes nothing, and a name may contain a quote.
        let (name, rest) = rest.rsplit_once("\" ").ok_or(NoticeError)?;
        let kind = kind.parse().map_err(|_| NoticeError)?;
        let mut words = rest.split(' ');
        let (Some(state), Some(priority), None) = (words.next(), words.next(), words.next()) else {
            return Err(NoticeError);
        };
        priority.parse::<u16>().map_err(|_| NoticeError)?;
        let who = Who { kind, name: name.to_owned() };
        Ok(Role::of_state(state).map(|role| Self { who, role }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::vrrp::VrrpKind;

    #[test]
    fn lines_of_the_fifo() {
        let notice = |kind, name: &str, role| Ok(Some(Notice { who: Who { kind, name: name.into() }, role }));
        use Role::{Active, Standby};
        assert_eq!(Notice::parse("INSTANCE \"VI_1\" MASTER 150"), notice(VrrpKind::Instance, "VI_1", Active));
        assert_eq!(Notice::parse("GROUP \"a b\" FAULT 0"), notice(VrrpKind::Group, "a b", Standby));
        assert_eq!(Notice::parse("INSTANCE \"VI_1\" STOP 150"), notice(VrrpKind::Instance, "VI_1", Standby));
        assert_eq!(Notice::parse("INSTANCE \"q\"x\" BACKUP 1"), notice(VrrpKind::Instance, "q\"x", Standby));
        assert_eq!(Notice::parse("INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150"), Ok(None));
        for bad in [
            "",
            "INSTANCE",
            "INSTANCE VI_1 MASTER 150",
            "VS [127.0.0.1]:80 UP 1 2",
            "INSTANCE \"VI_1\" MASTER",
            "INSTANCE \"VI_1\" MASTER x",
            "instance \"VI_1\" MASTER 150",
            "INSTANCE \"VI_1\" MASTER 150 9",
        ] {
            assert_eq!(Notice::parse(bad), Err(NoticeError), "{bad:?}");
        }
    }
}
