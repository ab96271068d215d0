//! Facts about the play tokens of an origin, for its edges.

use weir_model::Secret;
use weir_model::token::Revocation;

use crate::cluster::members::fingerprint;
use crate::cluster::signature::Key;
use crate::cluster::wire::{Answer, Revocations};

/// The facts.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The revoked ones; `None` until nginx has answered.
    revoked: Option<(Vec<Revocation>, Revocations)>,
    /// The secret, if the daemon has a copy.
    secret: Option<Secret>,
}

impl Tokens {
    pub(super) fn note(&mut self, revoked: &[Revocation], secret: Option<Secret>) {
        self.secret = secret;
        if self.revoked.as_ref().is_none_or(|(known, _)| known != revoked) {
            self.revoked = Some((revoked.to_vec(), Revocations::new(revoked)));
        }
    }

    /// Adds the facts to an answer. `known` is the digest of the edge's list of revocations; `None` if the edge's version has no such list.
    pub(super) fn add_to(&self, answer: &mut Answer, key: &Key, known: Option<&str>) {
        if answer.members.as_ref().is_some_and(|members| !members.is_empty()) {
            answer.secret = self.secret.as_ref().and_then(|secret| fingerprint(key, secret));
        }
        let revoked = self.revoked.as_ref().map(|(_, revoked)| revoked);
        answer.revoked = revoked.filter(|list| known.is_some_and(|known| known != list.digest)).cloned();
    }
}

#[cfg(test)]
mod tests {
    use weir_model::Timestamp;

    use super::*;
    use crate::cluster::wire::Member;

    #[test]
    fn an_edge_gets_the_list_once_and_the_fingerprint_with_streams_for_members() {
        let key = Key::new(&[7; 32]).unwrap();
        let mut tokens = Tokens::default();
        let answer = |tokens: &Tokens, known: Option<&str>, has_members: bool| {
            let members = has_members.then(|| vec![Member { app: "live".into(), rtmp: true }]);
            let mut answer = Answer { members: members.or(Some(Vec::new())), ..Answer::default() };
            tokens.add_to(&mut answer, &key, known);
            (answer.revoked, answer.secret)
        };
        assert_eq!(answer(&tokens, Some(""), true), (None, None), "nginx has not answered");
        let now = Timestamp::from_millis(1_795_197_600_000);
        let one = Revocation::from_json(br#"{"jti":"a"}"#, now).unwrap();
        tokens.note(&[one], Some(Secret::new("1".repeat(32))));
        let (list, secret) = answer(&tokens, Some(""), true);
        let list = list.unwrap();
        assert_eq!((list.list.len(), secret.unwrap().len()), (1, 32));
        assert_eq!(answer(&tokens, Some(&list.digest), false), (None, None));
        assert_eq!(answer(&tokens, None, false).0, None, "an older edge");
        tokens.note(&[], None);
        let (shorter, secret) = answer(&tokens, Some(&list.digest), true);
        assert!(shorter.unwrap().list.is_empty() && secret.is_none());
    }
}
