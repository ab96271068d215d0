//! One room: the people in it, its messages, and the check whether a person may write. Pure; time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use weir_model::front::ChatMessage;

pub(crate) use ban::{AddressMark, Ban, mark_of, mark_text};
use looks::Looks;
pub(crate) use looks::without_badges;
pub(crate) use names::{MOST_NAME, filtered, is_who, name_of};

use super::pace::{MOST_MESSAGES, Pace, WINDOW, Wait, Writer};

mod ban;
pub(crate) mod heard;
mod looks;
mod names;

/// Longest message, in characters.
pub(crate) const MOST_CHARACTERS: usize = 500;
/// Number of messages that a new person gets.
pub(crate) const HISTORY: usize = 50;
/// Time within which a moderator can restore deleted messages.
pub(crate) const REGRET: Duration = Duration::from_secs(30);
/// Most deleted messages that are kept for it.
const MOST_REMOVED: usize = 500;
/// A person in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// Displayed name; `None` for a person who only reads.
    pub name: Option<String>,
    /// A token gives the name.
    pub is_verified: bool,
    /// The person may delete messages and remove people.
    pub is_moderator: bool,
    /// Keyed hash of the person's address.
    pub mark: AddressMark,
    /// The same with the key that was in use before the file of the chat could be opened.
    pub earlier: Option<AddressMark>,
}

/// Reason why an action is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The person has no name.
    #[error("join with a name of 1 to 32 characters to write")]
    NoName,
    /// Only people named by a token may write.
    #[error("only people with a chat token may write here")]
    NeedsToken,
    /// Another person has the name.
    #[error("somebody with this name is here already")]
    NameTaken,
    /// The message is empty or too long.
    #[error("a message has 1 to {MOST_CHARACTERS} characters")]
    Length,
    /// The person writes too fast.
    #[error("at most {MOST_MESSAGES} messages in {} seconds", WINDOW.as_secs())]
    TooFast,
    /// Slow mode, with the seconds between two messages.
    #[error("slow mode: one message in {0} seconds")]
    Slow(u64),
    /// The person has a time-out, with the seconds left.
    #[error("you cannot write for {0} seconds")]
    TimedOut(u64),
    /// The person is banned.
    #[error("you are banned from this chat")]
    Banned,
    /// The person is not a moderator.
    #[error("only moderators may do this")]
    Forbidden,
    /// There is no such message or person.
    #[error("there is no such message or person")]
    NotFound,
    /// Too many rooms of streams that were never live are open.
    #[error("too many chats of streams that were never live are open")]
    Full,
}

impl Refusal {
    /// Returns the code for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::NeedsToken => "needs_token",
            Self::NameTaken => "name_taken",
            Self::Length => "bad_text",
            Self::TooFast => "too_fast",
            Self::Slow(_) => "slow_mode",
            Self::TimedOut(_) => "timed_out",
            Self::Banned => "banned",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Full => "unavailable",
        }
    }
}

/// A message, and the hash of its author's address, which is unknown for messages read from the disk.
#[derive(Clone, Debug)]
struct Kept {
    message: ChatMessage,
    mark: Option<AddressMark>,
}

/// Deleted messages: the time, the id or name that the moderator used, and the messages.
#[derive(Debug)]
struct Removed {
    at: Instant,
    what: String,
    kept: Vec<Kept>,
}

/// One room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    people: HashMap<u64, Person>,
    messages: VecDeque<Kept>,
    removed: VecDeque<Removed>,
    pace: Pace,
    silenced: Vec<(Ban, Instant)>,
    bans: Vec<Ban>,
    slow: Duration,
    looks: Looks,
    /// Counts since the last minute: messages, arrivals, departures, and the most people present.
    counts: [u64; 4],
}

impl Room {
    /// Returns a room with its last messages, the oldest first.
    pub(crate) fn of(messages: Vec<ChatMessage>, slow: Duration) -> Self {
        let messages = messages.into_iter().map(|message| Kept { message, mark: None }).collect();
        Self { messages, slow, ..Self::default() }
    }

    /// Adds a person.
    pub(crate) fn enter(&mut self, number: u64, person: Person) -> Result<(), Refusal> {
        if self.is_banned(&person) {
            return Err(Refusal::Banned);
        }
        let is_alike = |other: &Person| match (&person.name, &other.name) {
            (Some(one), Some(other)) => self.looks.are_alike(one, other),
            _ => false,
        };
        let is_taken = |other: &Person| other.mark != person.mark && is_alike(other);
        if !person.is_verified && self.people.values().any(is_taken) {
            return Err(Refusal::NameTaken);
        }
        self.people.insert(number, person);
        self.counts[1] += 1;
        self.counts[3] = self.counts[3].max(self.people.len() as u64);
        Ok(())
    }

    /// Counts the person who has just entered as one who was here already, and has only changed the name.
    pub(crate) fn stayed(&mut self) {
        self.counts[1] = self.counts[1].saturating_sub(1);
        self.counts[2] = self.counts[2].saturating_sub(1);
    }

    /// Removes a person.
    pub(crate) fn leave(&mut self, number: u64) {
        if self.people.remove(&number).is_some() {
            self.counts[2] += 1;
        }
    }

    /// Returns the number of people.
    pub(crate) fn people(&self) -> usize {
        self.people.len()
    }

    /// Returns the last messages, the oldest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &ChatMessage> {
        self.messages.iter().map(|kept| &kept.message)
    }

    /// Returns the last messages with the hash of the author's address, if it is known.
    pub(crate) fn marked(&self) -> impl Iterator<Item = (&ChatMessage, Option<&AddressMark>)> {
        self.messages.iter().map(|kept| (&kept.message, kept.mark.as_ref()))
    }

    /// Returns the people in the room.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// Returns the bans.
    pub(crate) fn bans(&self) -> &[Ban] {
        &self.bans
    }

    /// Returns the time-outs, with the time left.
    pub(crate) fn silenced(&self, now: Instant) -> impl Iterator<Item = (&Ban, Duration)> {
        let left = move |until: &Instant| until.checked_duration_since(now).filter(|left| !left.is_zero());
        self.silenced.iter().filter_map(move |(ban, until)| Some((ban, left(until)?)))
    }

    /// Returns the minimum time between two messages of one person.
    pub(crate) fn slow(&self) -> Duration {
        self.slow
    }

    /// Sets the minimum time between two messages of one person.
    pub(crate) fn set_slow(&mut self, slow: Duration) {
        self.slow = slow;
    }

    fn is_banned(&self, person: &Person) -> bool {
        !person.is_moderator && self.bans.iter().any(|ban| person.fits(ban, &self.looks))
    }

    /// Returns the person, if that person may write now. `is_too_fast`: the address has written too much, in all rooms.
    pub(crate) fn may_write(
        &mut self,
        number: u64,
        text: &str,
        is_too_fast: bool,
        now: Instant,
    ) -> Result<Person, Refusal> {
        let person = self.people.get(&number).ok_or(Refusal::NotFound)?.clone();
        let name = person.name.as_ref().ok_or(Refusal::NoName)?;
        if self.is_banned(&person) {
            return Err(Refusal::Banned);
        }
        if text.trim().is_empty() || text.chars().count() > MOST_CHARACTERS {
            return Err(Refusal::Length);
        }
        self.silenced.retain(|(_, until)| *until > now);
        // Moderators may have the address of the person with the time-out, behind the same NAT.
        let fits = |(ban, _): &&(Ban, Instant)| !person.is_moderator && person.fits(ban, &self.looks);
        if let Some((_, until)) = self.silenced.iter().find(fits) {
            return Err(Refusal::TimedOut((*until - now).as_secs() + 1));
        }
        if is_too_fast {
            return Err(Refusal::TooFast);
        }
        let address = (!person.is_verified).then_some(person.mark);
        let writer = Writer { name, address, is_moderator: person.is_moderator };
        self.pace.write(writer, self.slow, now).map_err(|why| match why {
            Wait::TooFast => Refusal::TooFast,
            Wait::Slow => Refusal::Slow(self.slow.as_secs()),
        })?;
        Ok(person)
    }

    /// Adds a message from this address.
    pub(crate) fn say(&mut self, message: ChatMessage, mark: AddressMark) {
        self.counts[0] += 1;
        self.messages.push_back(Kept { message, mark: Some(mark) });
        if self.messages.len() > HISTORY {
            self.messages.pop_front();
        }
    }

    /// Sorts messages by time, and those of one millisecond by their ids.
    fn sort(&mut self) {
        let order = |one: &Kept, other: &Kept| {
            let [one, other] = [one, other].map(|kept| (kept.message.at, kept.message.id.as_str()));
            one.cmp(&other)
        };
        self.messages.make_contiguous().sort_by(order);
    }

    /// Returns whether a person is banned or has a time-out.
    pub(crate) fn is_silenced(&self, person: &Person, now: Instant) -> bool {
        let fits = |(ban, until): &(Ban, Instant)| *until > now && person.fits(ban, &self.looks);
        self.is_banned(person) || (!person.is_moderator && self.silenced.iter().any(fits))
    }

    /// Deletes a message. Returns false if the message is no longer known.
    pub(crate) fn delete(&mut self, id: &str, now: Instant) -> bool {
        !self.take(id, |kept| kept.message.id == id, now).is_empty()
    }

    /// Removes messages that `restore(what)` can bring back. Returns their ids.
    fn take(&mut self, what: &str, is_meant: impl Fn(&Kept) -> bool, now: Instant) -> Vec<String> {
        let (kept, rest) = self.messages.drain(..).partition::<Vec<_>, _>(is_meant);
        self.messages = rest.into();
        let ids: Vec<String> = kept.iter().map(|kept| kept.message.id.clone()).collect();
        if !kept.is_empty() {
            self.removed.push_back(Removed { at: now, what: what.to_lowercase(), kept });
        }
        self.removed.retain(|removed| now - removed.at < REGRET);
        while self.removed.iter().map(|removed| removed.kept.len()).sum::<usize>() > MOST_REMOVED {
            self.removed.pop_front();
        }
        ids
    }

    /// Restores recently deleted messages: those deleted by this id, name or address.
    pub(crate) fn restore(&mut self, what: &str, now: Instant) -> Vec<ChatMessage> {
        let small = what.to_lowercase();
        let all = std::mem::take(&mut self.removed).into_iter();
        let (back, rest): (Vec<_>, Vec<_>) =
            all.filter(|removed| now - removed.at < REGRET).partition(|removed| removed.what == small);
        self.removed = rest.into();
        self.bring_back(back.into_iter().flat_map(|removed| removed.kept).collect())
    }

    /// Restores those of these messages that were recently deleted.
    pub(crate) fn restore_these(&mut self, ids: &[String], now: Instant) -> Vec<ChatMessage> {
        let mut back = Vec::new();
        for removed in self.removed.iter_mut().filter(|removed| now - removed.at < REGRET) {
            let all = std::mem::take(&mut removed.kept).into_iter();
            let (meant, rest): (Vec<_>, Vec<_>) = all.partition(|kept| ids.contains(&kept.message.id));
            removed.kept = rest;
            back.extend(meant);
        }
        self.bring_back(back)
    }

    fn bring_back(&mut self, back: Vec<Kept>) -> Vec<ChatMessage> {
        let messages = back.iter().map(|kept| kept.message.clone()).collect();
        self.messages.extend(back);
        self.sort();
        while self.messages.len() > HISTORY {
            self.messages.pop_front();
        }
        messages
    }

    /// Bans the people whom the ban fits. Replaces an earlier ban of the name.
    pub(crate) fn ban(&mut self, ban: Ban) {
        self.bans.retain(|other| other.name != ban.name);
        self.bans.push(ban);
    }

    /// Stops the people whom the ban fits from writing until a time. Replaces an earlier time-out of the name.
    pub(crate) fn time_out(&mut self, ban: Ban, until: Instant) {
        self.silenced.retain(|(other, _)| other.name != ban.name);
        self.silenced.push((ban, until));
    }

    /// Removes the messages of those whom the ban fits. Returns the ids of these messages.
    pub(crate) fn clear(&mut self, ban: &Ban, now: Instant) -> Vec<String> {
        let address = mark_of(&ban.name);
        let is_meant = |kept: &Kept| match address {
            Some(_) => kept.mark == address && !kept.message.moderator,
            None => ban.is_of(&kept.message),
        };
        self.take(&ban.name, is_meant, now)
    }

    /// Returns the ban of a name or of the hash of an address, for an order. Several people may have the name: the ban is for the last
    /// author with the name, or without a message, for a person who chose the name without a token.
    pub(crate) fn meant(&self, who: &str) -> Ban {
        let name = who.to_lowercase();
        if let Some(mark) = mark_of(&name) {
            return Ban { name, marks: vec![mark], is_verified: None };
        }
        let wrote = self.messages.iter().rev().find(|kept| kept.message.name.to_lowercase() == name);
        let wrote = wrote.filter(|kept| !kept.message.moderator);
        let wrote = wrote.and_then(|kept| Some((kept.mark?, kept.message.verified)));
        let there = || self.there(&name, None).map(|person| (person.mark, person.is_verified));
        match wrote.or_else(there) {
            Some((mark, is_verified)) => Ban { name, marks: vec![mark], is_verified: Some(is_verified) },
            None => Ban { name, marks: Vec::new(), is_verified: None },
        }
    }

    /// Returns the name of a message's author, and the ban of that author. `stored` is the message if the file has it.
    pub(crate) fn author(&self, id: &str, stored: Option<&ChatMessage>) -> Option<(String, Ban)> {
        let removed = self.removed.iter().flat_map(|removed| &removed.kept);
        let kept = self.messages.iter().chain(removed).find(|kept| kept.message.id == id);
        let (message, mark) = match kept {
            Some(kept) => (&kept.message, kept.mark),
            None => (stored?, None),
        };
        let name = message.name.to_lowercase();
        let there = || self.there(&name, Some(message.verified)).map(|person| person.mark);
        // Others may have the address of a moderator, behind the same NAT.
        let mark = if message.moderator { None } else { mark.or_else(there) };
        let marks = mark.into_iter().collect();
        Some((message.name.clone(), Ban { name, marks, is_verified: Some(message.verified) }))
    }

    /// Returns a person who is here under this name in lower case, preferably one who chose it without a token.
    fn there(&self, small: &str, is_verified: Option<bool>) -> Option<&Person> {
        let is_theirs =
            |person: &&Person| person.name.as_deref().is_some_and(|name| name.to_lowercase() == small);
        let is_kind = |person: &&Person| is_verified.is_none_or(|of| of == person.is_verified);
        let there = self.people.values().filter(is_theirs).filter(is_kind);
        there.filter(|person| !person.is_moderator).min_by_key(|person| person.is_verified)
    }

    /// Returns whether nobody is in the room, and it has no messages, also none that could be restored.
    pub(crate) fn is_unused(&self, now: Instant) -> bool {
        self.messages.is_empty() && self.counts[0] == 0 && self.is_idle(now)
    }

    /// Returns whether nobody is in the room, and no message of it could be restored.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.people.is_empty() && self.removed.iter().all(|removed| now - removed.at >= REGRET)
    }

    /// Returns whether anybody has written, come or left since the last minute.
    pub(crate) fn has_counts(&self) -> bool {
        self.counts[..3].iter().any(|count| *count > 0)
    }

    /// Returns whether anybody has written since the last minute.
    pub(crate) fn has_messages(&self) -> bool {
        self.counts[0] > 0
    }

    /// Removes expired time-outs.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.silenced.retain(|(_, until)| *until > now);
    }

    /// Lifts the ban of a name in lower case. Returns false if there was none.
    pub(crate) fn lift_ban(&mut self, small: &str) -> bool {
        let before = self.bans.len();
        self.bans.retain(|ban| ban.name != small);
        self.bans.len() < before
    }

    /// Lifts the time-out of a name in lower case. Returns false if there was none.
    pub(crate) fn lift_time_out(&mut self, small: &str) -> bool {
        let before = self.silenced.len();
        self.silenced.retain(|(ban, _)| ban.name != small);
        self.silenced.len() < before
    }

    /// Returns the counts since the last call.
    pub(crate) fn take_counts(&mut self) -> [u64; 4] {
        std::mem::replace(&mut self.counts, [0, 0, 0, self.people.len() as u64])
    }
}

impl Person {
    fn fits(&self, ban: &Ban, looks: &Looks) -> bool {
        let marks = std::iter::once(self.mark).chain(self.earlier);
        ban.fits(self.name.as_deref(), self.is_verified, marks, looks)
    }
}

#[cfg(test)]
mod tests;
