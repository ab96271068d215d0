//! Tickets with which new edges join. Each can be exchanged once for the edge's own credential.
//!
//! Tickets exist only in this daemon's memory: unused tickets are lost at a restart.

use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::time::Instant;
use weir_model::Secret;
use weir_model::secret::Digest;

use super::record::EdgeId;

/// Prefix of a ticket.
const PREFIX: &str = "wj_";
/// Most simultaneously valid tickets.
const MOST: usize = 2000;

/// Reason why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The ticket was never issued or is too old, or this daemon has restarted since.
    #[error("the ticket is unknown or too old: weir edge ticket NAME on the origin prints a new one")]
    Unknown,
    /// Another edge has used the ticket.
    #[error("the ticket was used already: weir edge ticket NAME on the origin prints a new one")]
    Used,
}

#[derive(Debug)]
struct Ticket {
    digest: Digest,
    id: EdgeId,
    until: Instant,
    /// End of the credential, in seconds since 1970.
    credential_until: u64,
    /// Hash of the number that the first user of the ticket chose. The same number again is a repeated request of this user.
    user: Option<Digest>,
}

/// The valid tickets.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Vec<Ticket>);

impl Tickets {
    /// Issues a ticket for one edge. Returns `None` if the system has no random bytes, or too many tickets are valid.
    pub(crate) fn issue(&mut self, id: EdgeId, valid: Duration, credential_until: u64) -> Option<Secret> {
        self.tidy();
        if self.0.len() >= MOST {
            return None;
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        let ticket = Secret::new(format!("{PREFIX}{}", HEXLOWER.encode(&bytes)));
        let until = Instant::now() + valid;
        self.0.push(Ticket { digest: ticket.digest(), id, until, credential_until, user: None });
        Some(ticket)
    }

    /// Exchanges a ticket. Returns its edge, and the end of the credential in seconds since 1970. `user` is a number that the edge has
    /// chosen: this edge may repeat the exchange, and nobody else can.
    pub(crate) fn redeem(&mut self, ticket: &Secret, user: &Secret) -> Result<(EdgeId, u64), Invalid> {
        self.tidy();
        let (digest, user) = (ticket.digest(), user.digest());
        let found = self.0.iter_mut().find(|ticket| ticket.digest == digest).ok_or(Invalid::Unknown)?;
        match &found.user {
            Some(first) if *first != user => return Err(Invalid::Used),
            _ => found.user = Some(user),
        }
        Ok((found.id.clone(), found.credential_until))
    }

    fn tidy(&mut self) {
        let now = Instant::now();
        self.0.retain(|ticket| ticket.until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        let valid = Duration::from_secs(60);
        let one = tickets.issue("gala-1".parse().unwrap(), valid, 9).unwrap();
        let two = tickets.issue("gala-1".parse().unwrap(), valid, 9).unwrap();
        let user = |text: &str| Secret::new(text);
        assert_eq!(tickets.redeem(&user("wj_0"), &user("a")), Err(Invalid::Unknown));
        assert_eq!(tickets.redeem(&one, &user("a")).unwrap().0.as_str(), "gala-1");
        assert_eq!(tickets.redeem(&one, &user("a")).unwrap().1, 9, "the answer was lost");
        assert_eq!(tickets.redeem(&one, &user("b")), Err(Invalid::Used));
        tokio::time::advance(valid).await;
        assert_eq!(tickets.redeem(&two, &user("a")), Err(Invalid::Unknown), "too old");
        assert!(tickets.0.is_empty());
    }
}
