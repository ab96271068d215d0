//! One room: the people in it, its messages, and the check whether a person may write. Pure; time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use tokio::time::Instant;
use weir_model::front::ChatMessage;
use weir_model::text;

use looks::Looks;

use super::pace::{MOST_MESSAGES, Pace, WINDOW, Wait, Writer};

pub(crate) mod heard;
mod looks;

/// Longest message, in characters.
pub(crate) const MOST_CHARACTERS: usize = 500;
/// Longest name, in characters.
pub(crate) const MOST_NAME: usize = weir_model::token::MAX_CHAT_NAME;
/// Number of messages that a new person gets.
pub(crate) const HISTORY: usize = 50;
/// Time within which a moderator can restore deleted messages.
pub(crate) const REGRET: Duration = Duration::from_secs(30);
/// Most deleted messages that are kept for it.
const MOST_REMOVED: usize = 500;
/// Sign before the hash of an address, where a name is possible too.
const MARK_SIGN: char = '@';

/// Keyed hash of an address. It does not reveal the address.
pub(crate) type AddressMark = [u8; 16];

/// Returns the hash of an address in the form that moderators use: `@` and 32 hex digits.
pub(crate) fn mark_text(mark: &AddressMark) -> String {
    format!("{MARK_SIGN}{}", HEXLOWER.encode(mark))
}

/// Parses the form of [`mark_text`].
pub(crate) fn mark_of(text: &str) -> Option<AddressMark> {
    let digits = text.strip_prefix(MARK_SIGN)?;
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

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
        }
    }
}

/// A ban of a name and of the address that the person had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    /// The name in lower case, or for a ban of an address alone, its [`mark_text`].
    pub name: String,
    /// Hash of the address; `None` if nobody with the name was in the room.
    pub mark: Option<AddressMark>,
    /// Whether the ban applies to names given by tokens (true) or to freely chosen names (false); `None` for both.
    pub is_verified: Option<bool>,
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

/// Returns a name that is fit to display, without deceptive characters, or `None` if nothing is left or the name is too long.
pub(crate) fn name_of(written: &str) -> Option<String> {
    let clean = text::clean(written);
    let name = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = (1..=MOST_NAME).contains(&name.chars().count()) && !name.contains(char::REPLACEMENT_CHARACTER);
    fits.then_some(name)
}

/// Replaces each word of the filter with stars, also within other words.
pub(crate) fn filtered(text: &str, words: &[String]) -> String {
    let mut shown: Vec<char> = text.chars().collect();
    let small: Vec<char> = shown.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    for word in words {
        let word: Vec<char> = word.chars().collect();
        let mut at = 0;
        while at + word.len() <= small.len() {
            if small[at..at + word.len()] == word[..] {
                shown[at..at + word.len()].fill('*');
                at += word.len();
            } else {
                at += 1;
            }
        }
    }
    shown.into_iter().collect()
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
        !person.is_moderator && self.bans.iter().any(|ban| ban.fits(person, &self.looks))
    }

    /// Returns the person, if that person may write now.
    pub(crate) fn may_write(&mut self, number: u64, text: &str, now: Instant) -> Result<Person, Refusal> {
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
        let fits = |(ban, _): &&(Ban, Instant)| !person.is_moderator && ban.fits(&person, &self.looks);
        if let Some((_, until)) = self.silenced.iter().find(fits) {
            return Err(Refusal::TimedOut((*until - now).as_secs() + 1));
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
        let fits = |(ban, until): &(Ban, Instant)| *until > now && ban.fits(person, &self.looks);
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
        let back: Vec<Kept> = back.into_iter().flat_map(|removed| removed.kept).collect();
        let messages = back.iter().map(|kept| kept.message.clone()).collect();
        self.messages.extend(back);
        self.sort();
        while self.messages.len() > HISTORY {
            self.messages.pop_front();
        }
        messages
    }

    /// Silences a name or the hash of an address, until a time or permanently, and removes the messages. Returns the ban, and the ids of
    /// the removed messages.
    pub(crate) fn silence(&mut self, who: &str, until: Option<Instant>, now: Instant) -> (Ban, Vec<String>) {
        let small = who.to_lowercase();
        let address = mark_of(&small);
        let ban = match address {
            Some(_) => Ban { name: small.clone(), mark: address, is_verified: None },
            None => self.meant(&small),
        };
        match until {
            Some(until) => self.time_out(ban.clone(), until),
            None => self.ban(ban.clone()),
        }
        let ids = self.clear(&ban, now);
        (ban, ids)
    }

    /// Bans the people whom the ban fits.
    pub(crate) fn ban(&mut self, ban: Ban) {
        self.bans.retain(|other| other.name != ban.name);
        self.bans.push(ban);
    }

    /// Stops the people whom the ban fits from writing until a time.
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

    /// Finds the person of a name that several people may have: the last author with the name, or without a message, a person who chose
    /// the name without a token.
    fn meant(&self, small: &str) -> Ban {
        let is_theirs =
            |person: &&Person| person.name.as_deref().is_some_and(|name| name.to_lowercase() == small);
        let wrote = self.messages.iter().rev().find(|kept| kept.message.name.to_lowercase() == small);
        let wrote = wrote.filter(|kept| !kept.message.moderator && kept.mark.is_some());
        let there = self.people.values().filter(is_theirs).filter(|person| !person.is_moderator);
        let there = there.min_by_key(|person| person.is_verified);
        let (mark, is_verified) = match (wrote, there) {
            (Some(kept), _) => (kept.mark, Some(kept.message.verified)),
            (None, Some(person)) => (Some(person.mark), Some(person.is_verified)),
            (None, None) => (None, None),
        };
        Ban { name: small.to_owned(), mark, is_verified }
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

    /// Lifts the ban and the time-out of a name. Returns false if there was none.
    pub(crate) fn forgive(&mut self, name: &str) -> bool {
        let small = name.to_lowercase();
        let (was_banned, was_timed_out) = (self.lift_ban(&small), self.lift_time_out(&small));
        was_banned || was_timed_out
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

impl Ban {
    /// Returns whether a message is of this name, and of a name given by a token or freely chosen, as the ban says.
    pub(super) fn is_of(&self, message: &ChatMessage) -> bool {
        message.name.to_lowercase() == self.name
            && self.is_verified.is_none_or(|is_verified| is_verified == message.verified)
    }

    fn fits(&self, person: &Person, looks: &Looks) -> bool {
        let is_kind = self.is_verified.is_none_or(|is_verified| is_verified == person.is_verified);
        self.mark == Some(person.mark)
            || (is_kind && person.name.as_deref().is_some_and(|name| looks.are_alike(name, &self.name)))
    }
}

#[cfg(test)]
mod tests;
