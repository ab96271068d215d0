//! Reads and changes the replicated things of this node, as values: in the module, in the file of accounts, and in the chat.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use weir_model::{Digest, Timestamp};

use super::entry::EntryKind;
use super::table::Pending;
use crate::admin::accounts::{self, Account, Store};
use crate::admin::name::Name;
use crate::chat::room::Ban;
use crate::chat::{Chat, Common};
use crate::config;
use crate::nginx::{self, Nginx, Replica, ReplicaState};
use crate::streams::StreamId;

/// Reason why a change was not made at this node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The thing has changed since it was read, so it must be read again.
    #[error("it has changed meanwhile")]
    Changed,
    /// The module has reported an error.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// The file of accounts has reported an error.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// A newer version of weir has written the thing.
    #[error("this weir does not understand it")]
    Unknown,
}

/// The things of one source.
pub(crate) struct Seen {
    /// The kinds of these things.
    pub kinds: &'static [EntryKind],
    /// The things by name.
    pub things: BTreeMap<String, Value>,
    /// Mark by which the source is recognized; `None` if it has none yet.
    pub mark: Option<String>,
    /// The source has a file.
    pub can_be_marked: bool,
    /// Generation of the module's state file; 0 for other sources.
    pub generation: u64,
}

impl Seen {
    /// Returns the digest of the things that are in the file. Bans of keys are only in memory.
    pub(crate) fn digest(&self) -> Digest {
        let is_kept = |name: &&String| !matches!(EntryKind::of(name), Some((EntryKind::Ban, _)));
        let kept: Vec<_> = self.things.iter().filter(|(name, _)| is_kept(name)).collect();
        Digest::of(&serde_json::to_vec(&kept).unwrap_or_default())
    }
}

/// Longest slow mode in seconds. The chat's file has no longer one.
const MOST_SLOW: u64 = u32::MAX as u64;
/// Names of the sources, for their marks.
pub(crate) const STATE: &str = "state";
/// Name of the file of accounts.
pub(crate) const ACCOUNTS: &str = "accounts";
/// Name of the chat's file.
pub(crate) const CHAT: &str = "chat";

/// All sources of this node.
pub(crate) struct Sources {
    replica: Nginx,
    /// With the token of the API.
    nginx: Nginx,
    accounts: Store,
    chat: Arc<Chat>,
    /// Tag of the module's state at the last read.
    tag: Option<String>,
    /// Accounts at the last read.
    known: Option<Arc<accounts::Accounts>>,
    /// State of the chat at the last read.
    common: Option<(String, Common)>,
}

impl Sources {
    /// Creates the sources as configured.
    pub(crate) fn new(
        at: &config::NginxSettings,
        admins: &Path,
        chat: Arc<Chat>,
        token: &weir_model::Secret,
    ) -> Result<Self, nginx::Error> {
        Ok(Self {
            replica: Nginx::of_configuration(at.api.clone(), None)?.bearing(token).for_pair(),
            nginx: Self::client(at)?.for_pair(),
            accounts: Store::new(admins),
            chat,
            tag: None,
            known: None,
            common: None,
        })
    }

    /// Returns another client of the API.
    pub(crate) fn client(at: &config::NginxSettings) -> Result<Nginx, nginx::Error> {
        Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref())
    }

    /// Makes the next read return everything.
    pub(crate) fn forget(&mut self) {
        (self.tag, self.known, self.common) = (None, None, None);
    }

    /// Makes the next read return all of the module's things.
    pub(crate) fn forget_tag(&mut self) {
        self.tag = None;
    }

    /// Returns the module's things, if they have changed.
    pub(crate) async fn state(&mut self) -> Result<Option<Seen>, Failure> {
        let Replica { tag, state, bans } = self.replica.replica(self.tag.as_deref()).await?;
        self.tag = Some(tag);
        let Some(state) = state else { return Ok(None) };
        let ReplicaState { generation, keys, targets, revocations, mark, .. } = state;
        let id = |value: &Value| value["id"].as_str().unwrap_or_default().to_owned();
        let keys = keys.into_iter().map(|key| (EntryKind::Key.name(&id(&key)), key));
        let targets = targets.into_iter().map(|target| (EntryKind::Target.name(&id(&target)), target));
        let revocations = revocations.into_iter().map(|one| (EntryKind::Token.name(&what(&one)), one));
        let bans = bans.iter().map(|ban| {
            (EntryKind::Ban.name(&ban.key), json!({ "key": ban.key, "until": ban.until.as_millis() }))
        });
        let things = keys.chain(targets).chain(revocations).chain(bans).collect();
        let kinds = &[EntryKind::Key, EntryKind::Target, EntryKind::Token, EntryKind::Ban];
        Ok(Some(Seen { kinds, things, mark, can_be_marked: true, generation }))
    }

    /// Marks the file of a source as it was last read, and returns whether the mark is on the disk. The chat writes it later.
    pub(crate) async fn mark(&self, source: &str, mark: &str) -> Result<bool, Failure> {
        match source {
            ACCOUNTS => {
                let was = self.known.as_ref().ok_or(Failure::Changed)?;
                if !self.accounts.mark(was, mark)? {
                    return Err(Failure::Changed);
                }
                Ok(true)
            }
            CHAT => {
                self.chat.mark_file(mark.to_owned());
                Ok(false)
            }
            // nginx may have started with another file since its state was read.
            _ if self.replica.replica(self.tag.as_deref()).await?.state.is_some() => Err(Failure::Changed),
            _ => {
                self.replica.put_replica(&json!({ "mark": mark })).await?;
                Ok(true)
            }
        }
    }

    /// Returns the accounts, if they have changed.
    pub(crate) fn accounts(&mut self) -> Result<Option<Seen>, Failure> {
        let all = self.accounts.accounts()?;
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &all)) {
            return Ok(None);
        }
        // Without a file, each read returns a new empty list.
        let mark = self.accounts.exists().then(|| all.mark().to_owned());
        if mark.is_none() && self.known.as_ref().is_some_and(|known| known.accounts.is_empty()) {
            return Ok(None);
        }
        let thing = |account: &Account| (EntryKind::Admin.name(account.name.as_str()), json!(account));
        let code =
            |(name, step): (&Name, &u64)| (EntryKind::Code.name(name.as_str()), json!({ "step": step }));
        let codes = all.codes().iter().map(code);
        let things = all.accounts.iter().map(thing).chain(codes).collect();
        self.known = Some(all);
        let can_be_marked = mark.is_some();
        Ok(Some(Seen {
            kinds: &[EntryKind::Admin, EntryKind::Code],
            things,
            mark,
            can_be_marked,
            generation: 0,
        }))
    }

    /// Returns the bans, time-outs and slow modes of the chat, if they have changed, or `None` if the chat is off.
    pub(crate) fn chat(&mut self) -> Option<Seen> {
        let now = self.chat.common();
        if now == self.common {
            return None;
        }
        self.common.clone_from(&now);
        let (mark, Common { bans, time_outs, slow }) = now?;
        let name = |kind: EntryKind, ((app, stream), name): &(StreamId, String)| {
            kind.name(&json!([app, stream, name]).to_string())
        };
        let bans = bans.iter().map(|(of, ban)| (name(EntryKind::Chat, of), person(ban)));
        let time_outs = time_outs.iter().map(|(of, (ban, until))| {
            let mut value = person(ban);
            value["until"] = json!(until.as_millis());
            (name(EntryKind::TimeOut, of), value)
        });
        let slow = slow.iter().map(|((app, stream), span)| {
            (EntryKind::Slow.name(&json!([app, stream]).to_string()), json!({ "seconds": span.as_secs() }))
        });
        let things = bans.chain(time_outs).chain(slow).collect();
        let kinds = &[EntryKind::Chat, EntryKind::TimeOut, EntryKind::Slow];
        Some(Seen { kinds, things, mark: Some(mark), can_be_marked: true, generation: 0 })
    }

    /// Returns whether the chat can apply changes.
    pub(crate) fn has_chat(&self) -> bool {
        self.common.is_some()
    }

    /// Applies a pending change to this node.
    pub(crate) async fn apply(&self, pending: &Pending) -> Result<(), Failure> {
        let (kind, rest) = EntryKind::of(&pending.name).ok_or(Failure::Unknown)?;
        match (kind, &pending.want) {
            (EntryKind::Key, None) => self.remove(&format!("v1/keys/{rest}")).await,
            (EntryKind::Target, None) => self.remove(&format!("v1/targets/{rest}")).await,
            (EntryKind::Key, Some(want)) => {
                self.put(&json!({ "key": { "was": pending.was, "is": want } })).await
            }
            (EntryKind::Target, Some(want)) => {
                self.put(&json!({ "target": { "was": pending.was, "is": want } })).await
            }
            (EntryKind::Token, Some(want)) => self.put(&json!({ "revocation": want })).await,
            (EntryKind::Ban, Some(want)) => {
                let until = want["until"].as_u64().map(Timestamp::from_millis);
                self.put(&json!({ "ban": { "key": want["key"], "until": until } })).await
            }
            (EntryKind::Token | EntryKind::Ban | EntryKind::Code, None) => Ok(()),
            (EntryKind::Admin, _) => self.account(rest, pending),
            (EntryKind::Code, Some(want)) => self.code(rest, pending.was.as_ref(), want),
            (EntryKind::Chat | EntryKind::TimeOut, want) => self.silence(kind, rest, want.as_ref()),
            (EntryKind::Slow, want) => self.slow(rest, want.as_ref()),
        }
    }

    async fn put(&self, change: &Value) -> Result<(), Failure> {
        changed(self.replica.put_replica(change).await)
    }

    async fn remove(&self, path: &str) -> Result<(), Failure> {
        match self.nginx.forward(reqwest::Method::DELETE, path, None).await {
            Err(nginx::Error::Refused { code, .. }) if code == "not_found" => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }

    fn account(&self, name: &str, pending: &Pending) -> Result<(), Failure> {
        let read = |value: &Option<Value>| {
            let read = |value: &Value| serde_json::from_value::<Account>(value.clone());
            value.as_ref().map(read).transpose().map_err(|_| Failure::Unknown)
        };
        let (was, want) = (read(&pending.was)?, read(&pending.want)?);
        let name: Name = name.parse().map_err(|_| Failure::Unknown)?;
        match self.accounts.replicate(&name, was.as_ref(), want)? {
            true => Ok(()),
            false => Err(Failure::Changed),
        }
    }

    fn code(&self, name: &str, was: Option<&Value>, want: &Value) -> Result<(), Failure> {
        let name: Name = name.parse().map_err(|_| Failure::Unknown)?;
        let step = |value: &Value| value["step"].as_u64();
        let want = step(want).ok_or(Failure::Unknown)?;
        match self.accounts.replicate_code(&name, was.and_then(step), want)? {
            true => Ok(()),
            false => Err(Failure::Changed),
        }
    }

    /// Applies a ban or a time-out of the chat, or its end.
    fn silence(&self, kind: EntryKind, rest: &str, want: Option<&Value>) -> Result<(), Failure> {
        let (app, stream, name): (_, _, String) = serde_json::from_str(rest).map_err(|_| Failure::Unknown)?;
        let ban = want.map(|value| {
            let marks = value["mark"].as_str().and_then(|marks| HEXLOWER.decode(marks.as_bytes()).ok());
            let marks = marks.unwrap_or_default().as_chunks().0.to_vec();
            Ban { name: name.clone(), marks, is_verified: value["verified"].as_bool() }
        });
        let until = || want.and_then(|value| value["until"].as_u64()).map(Timestamp::from_millis);
        let id = (app, stream);
        match kind {
            EntryKind::TimeOut => self.chat.take_over_time_out(&id, &name, ban.zip(until())),
            _ => self.chat.take_over_ban(&id, &name, ban),
        }
        Ok(())
    }

    fn slow(&self, rest: &str, want: Option<&Value>) -> Result<(), Failure> {
        let id = serde_json::from_str(rest).map_err(|_| Failure::Unknown)?;
        let seconds = want.and_then(|value| value["seconds"].as_u64());
        self.chat.take_over_slow(&id, seconds.map(|seconds| Duration::from_secs(seconds.min(MOST_SLOW))));
        Ok(())
    }
}

/// Returns the value of a ban. `mark` has the hashes of all addresses, one after another.
fn person(ban: &Ban) -> Value {
    let marks = (!ban.marks.is_empty()).then(|| HEXLOWER.encode(&ban.marks.concat()));
    json!({ "mark": marks, "verified": ban.is_verified })
}

/// Returns the fields that identify the tokens of a revocation: all but the times.
fn what(revocation: &Value) -> String {
    let mut what = revocation.clone();
    if let Some(fields) = what.as_object_mut() {
        fields.remove("revoked_at");
        fields.remove("expires_at");
    }
    what.to_string()
}

/// Maps the module's refusal to [`Failure::Changed`] if the thing has changed since it was read.
fn changed(done: Result<(), nginx::Error>) -> Result<(), Failure> {
    match done {
        Err(nginx::Error::Refused { code, message, .. })
            if code == "not_found" || message.contains("changed meanwhile") =>
        {
            Err(Failure::Changed)
        }
        done => Ok(done?),
    }
}
