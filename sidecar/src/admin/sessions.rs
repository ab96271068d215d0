//! The logged-in sessions. They outlive a restart of the daemon: a file holds the hash of each cookie, which is not enough to log in. The
//! file also holds the known addresses. Time is an argument.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use weir_model::{Secret, Timestamp};

use super::accounts::{Account, Accounts};
use super::known::Known;

mod kept;

use kept::{Kept, Session};

/// Time after which an unused session ends.
pub(crate) const IDLE: Duration = Duration::from_secs(12 * 3600);
/// Time after which every session ends.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most sessions. Beyond this number, the session that has been unused for the longest time ends.
const MOST: usize = 1000;
/// Most sessions of an account, so that one account does not end the sessions of others.
const MOST_OF_ACCOUNT: usize = 20;
/// Longest delay of the last-use times in the file.
const BEHIND: Duration = Duration::from_secs(600);
/// Time ahead of the clock from which a session counts as ended, because the clock was set back.
const AHEAD: Duration = Duration::from_secs(3600);

/// All sessions, by the hash of their cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Mutex<All>,
    /// Channel to the thread that writes the file.
    writer: Option<Sender<Kept>>,
}

#[derive(Debug, Default)]
struct All {
    sessions: HashMap<[u8; 32], Session>,
    known: Known,
    written: Timestamp,
}

impl Sessions {
    /// Reads the sessions of the file that have not ended. Each later change is written to the file.
    pub(crate) fn kept(file: PathBuf, now: Timestamp) -> Self {
        let Kept { sessions, known } = kept::read(&file);
        let alive = sessions.into_iter().filter(|session| is_alive(session, now)).take(MOST);
        let sessions = alive.map(|session| (*session.id.bytes(), session)).collect();
        Self { all: Mutex::new(All { sessions, known, written: now }), writer: kept::writer(file) }
    }

    /// Returns the addresses from which accounts had logged in when the file was written.
    pub(crate) fn known(&self) -> Known {
        self.lock().known.clone()
    }

    /// Sets the addresses from which accounts have logged in. The next session writes them.
    pub(crate) fn set_known(&self, known: Known) {
        self.lock().known = known;
    }

    /// Opens a session of an account. Returns the value of its cookie: 256 random bits.
    pub(crate) fn open(&self, account: &Account, now: Timestamp) -> Result<Secret, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let cookie = Secret::new(BASE64URL_NOPAD.encode(&bytes));
        let mut all = self.lock();
        let sessions = &mut all.sessions;
        sessions.retain(|_, session| is_alive(session, now));
        let own = |session: &Session| session.name == account.name;
        let is_full = sessions.values().filter(|session| own(session)).count() >= MOST_OF_ACCOUNT;
        if is_full || sessions.len() >= MOST {
            let oldest = sessions.iter().filter(|(_, session)| !is_full || own(session));
            if let Some(oldest) = oldest.min_by_key(|(_, session)| session.used).map(|(key, _)| *key) {
                sessions.remove(&oldest);
            }
        }
        let (id, name) = (cookie.digest(), account.name.clone());
        let session = Session { id, name, stamp: account.stamp(), began: now, used: now };
        sessions.insert(*cookie.digest().bytes(), session);
        self.write(&mut all, now);
        Ok(cookie)
    }

    /// Returns the account of a session, unless the session has ended: by time, or by removal or a new password of the account.
    pub(crate) fn find(&self, cookie: &Secret, accounts: &Accounts, now: Timestamp) -> Option<Account> {
        let mut all = self.lock();
        let key = *cookie.digest().bytes();
        let session = all.sessions.get_mut(&key)?;
        let account = accounts.find(session.name.as_str());
        let account = account.filter(|account| account.stamp() == session.stamp && is_alive(session, now));
        let found = account.cloned();
        match &found {
            Some(_) => session.used = session.used.max(now),
            None => _ = all.sessions.remove(&key),
        }
        if found.is_none() || now.millis_since(all.written) >= BEHIND.as_millis() as u64 {
            self.write(&mut all, now);
        }
        found
    }

    /// Ends a session.
    pub(crate) fn close(&self, cookie: &Secret, now: Timestamp) {
        let mut all = self.lock();
        if all.sessions.remove(cookie.digest().bytes()).is_some() {
            self.write(&mut all, now);
        }
    }

    fn write(&self, all: &mut All, now: Timestamp) {
        all.written = now;
        if let Some(writer) = &self.writer {
            // An error means that the thread has ended, which has logged the reason.
            let sessions = all.sessions.values().cloned().collect();
            let _ = writer.send(Kept { sessions, known: all.known.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_alive(session: &Session, now: Timestamp) -> bool {
    let within = |since: Timestamp, span: Duration| u128::from(now.millis_since(since)) < span.as_millis();
    within(session.used, IDLE)
        && within(session.began, LONGEST)
        && u128::from(session.began.millis_since(now)) < AHEAD.as_millis()
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
            totp: None,
        };
        let accounts: Vec<Account> = passwords.iter().map(account).collect();
        serde_json::from_value(serde_json::json!({ "accounts": accounts })).unwrap()
    }

    #[test]
    fn a_session_ends_with_its_password_its_account_and_time() {
        let (sessions, now) = (Sessions::default(), "2026-11-20T18:00:00Z".parse::<Timestamp>().unwrap());
        let known = accounts(&[("ana", "a"), ("bo", "b")]);
        let open = |name: &str| sessions.open(known.find(name).unwrap(), now).unwrap();
        let (ana, bo, late) = (open("ana"), open("bo"), open("bo"));
        assert_eq!(sessions.find(&ana, &known, now).unwrap().name.as_str(), "ana");
        assert!(sessions.find(&Secret::new("x"), &known, now).is_none());
        assert!(sessions.find(&ana, &accounts(&[("ana", "other")]), now).is_none());
        // The session does not return with the old password.
        assert!(sessions.find(&ana, &known, now).is_none());
        assert!(sessions.find(&bo, &accounts(&[]), now).is_none());
        let mut at = now;
        while at < now.plus_seconds((LONGEST - IDLE).as_secs()) {
            at = at.plus_seconds(IDLE.as_secs() / 2);
            assert!(sessions.find(&late, &known, at).is_some());
        }
        assert!(sessions.find(&late, &known, at.plus_seconds(IDLE.as_secs())).is_none());
        let closed = open("ana");
        sessions.close(&closed, now);
        assert!(sessions.find(&closed, &known, now).is_none());
    }

    #[test]
    fn an_account_with_many_sessions_ends_its_own() {
        let (sessions, now) = (Sessions::default(), "2026-11-20T18:00:00Z".parse::<Timestamp>().unwrap());
        let known = accounts(&[("ana", "a"), ("vi", "v")]);
        let open = |name: &str, at: Timestamp| sessions.open(known.find(name).unwrap(), at).unwrap();
        let ana = open("ana", now);
        let many: Vec<Secret> = (0..MOST as u64).map(|n| open("vi", now.plus_seconds(1 + n))).collect();
        let later = now.plus_seconds(2000);
        assert!(sessions.find(&ana, &known, later).is_some());
        let alive = |cookie: &&Secret| sessions.find(cookie, &known, later).is_some();
        assert_eq!(many.iter().filter(alive).count(), MOST_OF_ACCOUNT);
        assert!(many[MOST - MOST_OF_ACCOUNT..].iter().all(|cookie| alive(&cookie)));
    }

    #[test]
    fn a_session_outlives_the_daemon_by_its_hash_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admins.sessions");
        let now: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        let known = accounts(&[("ana", "a")]);
        let first = Sessions::kept(file.clone(), now);
        let [here, there] = [1, 2].map(|n| std::net::IpAddr::from([192, 0, 2, n]));
        let mut known_here = first.known();
        known_here.add(here, "ana");
        first.set_known(known_here);
        let cookies = [0; 3].map(|_| first.open(known.find("ana").unwrap(), now).unwrap());
        first.close(&cookies[0], now);
        let holds = |count: usize| {
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while kept::read(&file).sessions.len() != count && std::time::Instant::now() < deadline {
                std::thread::yield_now();
            }
            assert_eq!(kept::read(&file).sessions.len(), count);
        };
        holds(2);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(cookies.iter().all(|cookie| !text.contains(cookie.expose())), "{text}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let second = Sessions::kept(file.clone(), now.plus_seconds(60));
        let at = now.plus_seconds(60);
        assert!(second.find(&cookies[0], &known, at).is_none());
        assert!(second.find(&cookies[1], &known, at).is_some());
        assert!(second.known().has(here, "ana") && !second.known().has(there, "ana"));
        // A new password ends the session, also for the next daemon.
        assert!(second.find(&cookies[1], &accounts(&[("ana", "other")]), at).is_none());
        holds(1);
        // A clock that was set back by a year does not extend sessions.
        let before: Timestamp = "2025-11-20T18:00:00Z".parse().unwrap();
        assert!(Sessions::kept(file.clone(), before).find(&cookies[2], &known, before).is_none());
        std::fs::write(&file, "[").unwrap();
        assert!(Sessions::kept(file, at).find(&cookies[2], &known, at).is_none());
    }
}
