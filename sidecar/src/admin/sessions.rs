//! Who is logged in. Sessions are in memory alone: they end with the daemon.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use tokio::time::Instant;
use weir_model::{Digest, Secret};

use super::accounts::{Account, Accounts, Name};

/// A session that nobody uses ends after so long.
pub const IDLE: Duration = Duration::from_secs(12 * 3600);
/// And every session after so long.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// At the same time; beyond that, the one that was not used for the longest time ends.
const MOST: usize = 1000;

#[derive(Debug)]
struct Session {
    name: Name,
    stamp: Digest,
    began: Instant,
    used: Instant,
}

/// All sessions, by the hash of what their cookies hold.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    /// Opens a session of an account; returns what the cookie holds: 256 bits that nobody chose.
    pub fn open(&self, account: &Account, now: Instant) -> Result<Secret, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let cookie = Secret::new(BASE64URL_NOPAD.encode(&bytes));
        let mut sessions = self.lock();
        sessions.retain(|_, session| is_alive(session, now));
        if sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        let session = Session { name: account.name.clone(), stamp: account.stamp(), began: now, used: now };
        sessions.insert(*cookie.digest().bytes(), session);
        Ok(cookie)
    }

    /// The account of a session, unless it has ended: by time, with the account, or by another password.
    pub fn find(&self, cookie: &Secret, accounts: &Accounts, now: Instant) -> Option<Account> {
        let mut sessions = self.lock();
        let key = *cookie.digest().bytes();
        let session = sessions.get_mut(&key)?;
        let account = accounts.find(session.name.as_str());
        let account = account.filter(|account| account.stamp() == session.stamp && is_alive(session, now));
        match account {
            Some(account) => {
                session.used = now;
                Some(account.clone())
            }
            None => {
                sessions.remove(&key);
                None
            }
        }
    }

    /// Ends a session.
    pub fn close(&self, cookie: &Secret) {
        self.lock().remove(cookie.digest().bytes());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_alive(session: &Session, now: Instant) -> bool {
    now.duration_since(session.used) < IDLE && now.duration_since(session.began) < LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::accounts::Role;

    fn accounts(passwords: &[(&str, &str)]) -> Accounts {
        let account = |(name, password): &(&str, &str)| Account {
            name: name.parse().unwrap(),
            role: Role::Admin,
            password: (*password).to_owned(),
            changed_at: "2026-11-20T18:00:00Z".parse().unwrap(),
        };
        let accounts: Vec<Account> = passwords.iter().map(account).collect();
        serde_json::from_value(serde_json::json!({ "accounts": accounts })).unwrap()
    }

    #[test]
    fn a_session_ends_with_its_password_its_account_and_time() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let known = accounts(&[("ana", "a"), ("bo", "b")]);
        let open = |name: &str| sessions.open(known.find(name).unwrap(), now).unwrap();
        let (ana, bo, late) = (open("ana"), open("bo"), open("bo"));
        assert_eq!(sessions.find(&ana, &known, now).unwrap().name.as_str(), "ana");
        assert!(sessions.find(&Secret::new("x"), &known, now).is_none());
        assert!(sessions.find(&ana, &accounts(&[("ana", "other")]), now).is_none());
        // It does not come back with the old password.
        assert!(sessions.find(&ana, &known, now).is_none());
        assert!(sessions.find(&bo, &accounts(&[]), now).is_none());
        let mut at = now;
        while at < now + LONGEST - IDLE {
            at += IDLE / 2;
            assert!(sessions.find(&late, &known, at).is_some());
        }
        assert!(sessions.find(&late, &known, at + IDLE).is_none());
        let closed = open("ana");
        sessions.close(&closed);
        assert!(sessions.find(&closed, &known, now).is_none());
    }
}
