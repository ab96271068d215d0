//! Checks this node, records the edits that were made here, and applies the valid versions to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::entry::EntryKind;
use super::marks::Trust;
use super::node::Pair;
use super::sources::{ACCOUNTS, CHAT, Failure, STATE, Seen, Sources};
use super::table::Pending;
use crate::cluster::signature;
use crate::{clock, database};

/// Interval of the checks.
const LOOK: Duration = Duration::from_millis(250);
/// Time after which a refused change is retried.
const AGAIN: Duration = Duration::from_secs(5);
/// Interval at which old removals are deleted.
const TIDY: Duration = Duration::from_secs(3600);
/// Time limit of the module's answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most simultaneous changes. The module writes simultaneous changes together.
const AT_ONCE: usize = 16;

/// Runs until the future is dropped.
pub(super) async fn run(pair: Arc<Pair>, mut sources: Sources) {
    let mut follower = Follower {
        pair,
        refused: HashMap::new(),
        unmarked: None,
        tidied: None,
        is_module_seen: false,
        is_chat_seen: false,
    };
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = follower.pair.changed.notified() => {}
        }
        let done = follower.turn(&mut sources).await;
        follower.say(done.unwrap_or_else(|error| Some(error.to_string())));
    }
}

struct Follower {
    pair: Arc<Pair>,
    /// Changes that this node refused, with the time and the reason.
    refused: HashMap<String, (Instant, String)>,
    /// Time and reason of the last failure to mark a file.
    unmarked: Option<(Instant, String)>,
    tidied: Option<Instant>,
    /// The module's keys and targets were read since the start of the daemon.
    is_module_seen: bool,
    /// The chat was read since the start of the daemon.
    is_chat_seen: bool,
}

impl Follower {
    /// Checks the node once. Returns the reason if the node cannot be read or marked.
    async fn turn(&mut self, sources: &mut Sources) -> Result<Option<String>, database::Error> {
        if self.unmarked.take_if(|(at, _)| at.elapsed() >= AGAIN).is_some() {
            sources.forget();
        }
        let state = timeout(PATIENCE, sources.state()).await;
        let mut trouble = match state {
            Ok(Ok(seen)) => {
                self.is_module_seen = true;
                if let Some(seen) = seen {
                    self.observe(STATE, sources, &seen).await?;
                }
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("nginx does not answer".to_owned()),
        };
        let mut kinds = Vec::new();
        if trouble.is_none() && self.is_module_seen {
            kinds.extend([EntryKind::Key, EntryKind::Target, EntryKind::Token, EntryKind::Ban]);
        }
        match sources.accounts() {
            Ok(seen) => {
                kinds.extend([EntryKind::Admin, EntryKind::Code]);
                if let Some(seen) = seen {
                    self.observe(ACCOUNTS, sources, &seen).await?;
                }
            }
            Err(error) => trouble = trouble.or_else(|| Some(error.to_string())),
        }
        if let Some(seen) = sources.chat() {
            self.observe(CHAT, sources, &seen).await?;
            self.is_chat_seen = true;
        }
        if sources.has_chat() {
            kinds.extend([EntryKind::Chat, EntryKind::TimeOut, EntryKind::Slow]);
        }
        self.apply(sources, &kinds).await?;
        Ok(trouble.or_else(|| self.unmarked.as_ref().map(|(_, why)| why.clone())))
    }

    fn say(&self, trouble: Option<String>) {
        let mut status = self.pair.status();
        if status.trouble == trouble {
            return;
        }
        match &trouble {
            Some(why) => tracing::warn!("pair: this node is not in step: {why}"),
            None => tracing::info!("pair: this node can be read"),
        }
        status.trouble = trouble;
    }

    /// Records the edits that were made here, and marks the file if its things have changed. A file that is not the one that this node saw
    /// last contains no edits.
    async fn observe(
        &mut self,
        source: &'static str,
        sources: &Sources,
        seen: &Seen,
    ) -> Result<(), database::Error> {
        let now = clock::now().as_millis();
        let random = signature::nonce();
        let mark = seen.mark.as_deref();
        let (next, is_news) = {
            let mut table = self.pair.table();
            let (node, files) = table.files();
            let mut trust = files.trust(node, source, mark);
            let has_marked = files.has_marked(source);
            if source == CHAT {
                trust = match (self.is_chat_seen, trust) {
                    // The chat reads its file once. Since then, every change was made here.
                    (true, _) => Trust::Known,
                    // The chat writes changes and then the mark, so the last changes may be missing in the file.
                    (false, Trust::Known) if files.awaits(source) => Trust::Older,
                    (false, trust) => trust,
                };
            }
            if source == STATE {
                if trust == Trust::Known && seen.generation < table.generation() {
                    trust = Trust::Older;
                }
                table.set_generation(seen.generation);
            }
            if has_marked && matches!(trust, Trust::Older | Trust::Fresh) {
                tracing::warn!(
                    "pair: old or empty file ignored: the common state of the pair replaces its content; to undo an edit, make a new one, \
                     file: {source}"
                );
            }
            let mut is_news = table.observe(seen.kinds, &seen.things, trust, now);
            is_news |= table.remove_repeated(now);
            let random = random.filter(|_| seen.can_be_marked);
            let (node, files) = table.files();
            let next = random.and_then(|random| files.next_mark(node, source, mark, &seen.digest(), &random));
            self.pair.count(&table);
            table.commit()?;
            (next, is_news)
        };
        if is_news {
            self.pair.tell.notify_one();
        }
        let Some(next) = next else { return Ok(()) };
        let why = match timeout(PATIENCE, sources.mark(source, &next)).await {
            Ok(Ok(is_on_disk)) => {
                if is_on_disk {
                    let mut table = self.pair.table();
                    table.files().1.confirm(source, &next);
                    table.commit()?;
                }
                return Ok(());
            }
            // The next turn reads it again.
            Ok(Err(Failure::Changed)) => return Ok(()),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "nginx does not answer".to_owned(),
        };
        self.unmarked = Some((Instant::now(), format!("{source} is not marked: {why}")));
        Ok(())
    }

    /// Applies the pending changes to this node.
    async fn apply(&mut self, sources: &mut Sources, kinds: &[EntryKind]) -> Result<(), database::Error> {
        let now = clock::now().as_millis();
        let pending = {
            let mut table = self.pair.table();
            if self.tidied.is_none_or(|at| at.elapsed() >= TIDY) {
                self.tidied = Some(Instant::now());
                table.tidy(now);
                self.pair.count(&table);
                table.commit()?;
            }
            if table.remove_repeated(now) {
                self.pair.count(&table);
                table.commit()?;
                self.pair.tell.notify_one();
            }
            table.pending(kinds, now)
        };
        self.refused.retain(|name, _| pending.iter().any(|one| one.name == *name));
        let is_due = |one: &Pending| self.refused.get(&one.name).is_none_or(|(at, _)| at.elapsed() >= AGAIN);
        let due: Vec<Pending> = pending.iter().filter(|one| is_due(one)).cloned().collect();
        self.pair.status().pending = pending.len();
        if due.is_empty() {
            return Ok(());
        }
        let shared = &*sources;
        let attempts = due.into_iter().map(|one| async move {
            let done = timeout(PATIENCE, shared.apply(&one)).await;
            (one, done.unwrap_or(Err(Failure::Changed)))
        });
        let attempts: Vec<_> = stream::iter(attempts).buffered(AT_ONCE).collect().await;
        let mut is_changed = false;
        let mut table = self.pair.table();
        let mut left = pending.len();
        for (one, done) in attempts {
            match done {
                Ok(()) => {
                    table.applied(&one);
                    self.refused.remove(&one.name);
                    left -= 1;
                }
                Err(Failure::Changed) => is_changed = true,
                Err(error) => {
                    let why = error.to_string();
                    if self.refused.get(&one.name).is_none_or(|(_, known)| *known != why) {
                        tracing::warn!("pair: not taken over here: {why}, what: {}", one.name);
                    }
                    self.refused.insert(one.name, (Instant::now(), why));
                }
            }
        }
        table.commit()?;
        drop(table);
        self.pair.status().pending = left;
        // nginx may restart before the next check. It then has no bans, and its tag would not show that.
        sources.forget_tag();
        if is_changed {
            sources.forget();
            self.pair.changed.notify_one();
        }
        Ok(())
    }
}
