//! One room: who is there, what was said, and who may say something now. Pure; time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use weir_model::{Timestamp, text};

/// So many messages of one person in [`WINDOW`].
pub const MOST_MESSAGES: usize = 5;
/// See there.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The longest message, in characters.
pub const MOST_CHARACTERS: usize = 500;
/// The longest name, in characters.
pub const MOST_NAME: usize = 32;
/// Messages for who comes.
pub const HISTORY: usize = 50;

/// Who an address is without saying which.
pub type AddressMark = [u8; 16];

/// Somebody in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// As others see them; none for who only reads.
    pub name: Option<String>,
    /// A token has named them.
    pub is_verified: bool,
    /// They may delete messages and remove people.
    pub is_moderator: bool,
    /// Of their address.
    pub mark: AddressMark,
}

/// A message, as everybody gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Such as `m1795204508599`.
    pub id: String,
    /// Who.
    pub name: String,
    /// What.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// A token has named them.
    pub verified: bool,
    /// They moderate.
    pub moderator: bool,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No name.
    #[error("join with a name of 1 to 32 characters to write")]
    NoName,
    /// Names come from tokens here.
    #[error("only people with a chat token may write here")]
    NeedsToken,
    /// Somebody else has it.
    #[error("somebody with this name is here already")]
    NameTaken,
    /// Nothing to say.
    #[error("a message has 1 to {MOST_CHARACTERS} characters")]
    Length,
    /// Too many.
    #[error("at most {MOST_MESSAGES} messages in {} seconds", WINDOW.as_secs())]
    TooFast,
    /// Slow mode.
    #[error("slow mode: one message in {0} seconds")]
    Slow(u64),
    /// For a while.
    #[error("you cannot write for {0} seconds")]
    TimedOut(u64),
    /// For good.
    #[error("you are banned from this chat")]
    Banned,
    /// No moderator.
    #[error("only moderators may do this")]
    Forbidden,
    /// Nobody and nothing.
    #[error("there is no such message or person")]
    NotFound,
}

impl Refusal {
    /// For programs.
    pub fn code(&self) -> &'static str {
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

/// A ban: by name, and by the address that the person had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// In small letters.
    pub name: String,
    /// None where nobody with the name was there.
    pub mark: Option<AddressMark>,
}

/// One room.
#[derive(Debug, Default)]
pub struct Room {
    people: HashMap<u64, Person>,
    messages: VecDeque<Message>,
    /// When somebody wrote, by name and address.
    wrote: HashMap<(String, AddressMark), VecDeque<Instant>>,
    silenced: Vec<(Ban, Instant)>,
    bans: Vec<Ban>,
    slow: Duration,
    /// Since the last minute: messages, who came, who left, and the most that were there.
    counts: [u64; 4],
}

/// Fit to be shown, without what deceives; empty when nothing is left.
pub fn name_of(written: &str) -> Option<String> {
    let clean = text::clean(written);
    let name = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = (1..=MOST_NAME).contains(&name.chars().count()) && !name.contains(char::REPLACEMENT_CHARACTER);
    fits.then_some(name)
}

/// Words of the filter become stars, wherever they stand.
pub fn filtered(text: &str, words: &[String]) -> String {
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
    /// As it was: its last messages, the oldest first, and its bans.
    pub fn of(messages: Vec<Message>, bans: Vec<Ban>, slow: Duration) -> Self {
        Self { messages: messages.into(), bans, slow, ..Self::default() }
    }

    /// Somebody comes.
    pub fn enter(&mut self, number: u64, person: Person) -> Result<(), Refusal> {
        if self.is_banned(&person) {
            return Err(Refusal::Banned);
        }
        let key = person.name.as_deref().map(str::to_lowercase);
        let is_taken = |other: &Person| {
            key.is_some() && other.name.as_deref().map(str::to_lowercase) == key && other.mark != person.mark
        };
        if !person.is_verified && self.people.values().any(is_taken) {
            return Err(Refusal::NameTaken);
        }
        self.people.insert(number, person);
        self.counts[1] += 1;
        self.counts[3] = self.counts[3].max(self.people.len() as u64);
        Ok(())
    }

    /// Somebody goes.
    pub fn leave(&mut self, number: u64) {
        if self.people.remove(&number).is_some() {
            self.counts[2] += 1;
        }
    }

    /// How many are there.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// What was said last, the oldest first.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }

    /// Between two messages of one person.
    pub fn slow(&self) -> Duration {
        self.slow
    }

    /// Another time.
    pub fn set_slow(&mut self, slow: Duration) {
        self.slow = slow;
    }

    fn is_banned(&self, person: &Person) -> bool {
        !person.is_moderator && self.bans.iter().any(|ban| ban.fits(person))
    }

    /// Who somebody is, if they may write now.
    pub fn may_write(&mut self, number: u64, text: &str, now: Instant) -> Result<Person, Refusal> {
        let person = self.people.get(&number).ok_or(Refusal::NotFound)?.clone();
        let name = person.name.as_ref().ok_or(Refusal::NoName)?;
        if self.is_banned(&person) {
            return Err(Refusal::Banned);
        }
        if text.trim().is_empty() || text.chars().count() > MOST_CHARACTERS {
            return Err(Refusal::Length);
        }
        self.silenced.retain(|(_, until)| *until > now);
        if let Some((_, until)) = self.silenced.iter().find(|(ban, _)| ban.fits(&person)) {
            return Err(Refusal::TimedOut((*until - now).as_secs() + 1));
        }
        let longest = WINDOW.max(self.slow);
        self.wrote.retain(|_, times| times.back().is_some_and(|last| now - *last < longest));
        let times = self.wrote.entry((name.to_lowercase(), person.mark)).or_default();
        while times.front().is_some_and(|first| now - *first >= WINDOW) && times.len() > 1 {
            times.pop_front();
        }
        if times.iter().filter(|time| now - **time < WINDOW).count() >= MOST_MESSAGES {
            return Err(Refusal::TooFast);
        }
        if !person.is_moderator && times.back().is_some_and(|last| now - *last < self.slow) {
            return Err(Refusal::Slow(self.slow.as_secs()));
        }
        times.push_back(now);
        Ok(person)
    }

    /// It is said.
    pub fn say(&mut self, message: Message) {
        self.counts[0] += 1;
        self.messages.push_back(message);
        if self.messages.len() > HISTORY {
            self.messages.pop_front();
        }
    }

    /// Takes a message away; false when it is not known any more.
    pub fn delete(&mut self, id: &str) -> bool {
        let before = self.messages.len();
        self.messages.retain(|message| message.id != id);
        self.messages.len() < before
    }

    /// What fits a name from now on, for a while or for good; their messages go.
    pub fn silence(&mut self, name: &str, until: Option<Instant>) -> Ban {
        let small = name.to_lowercase();
        let is_theirs =
            |person: &&Person| person.name.as_deref().is_some_and(|name| name.to_lowercase() == small);
        let mark =
            self.people.values().filter(is_theirs).find(|person| !person.is_moderator).map(|one| one.mark);
        let ban = Ban { name: small.clone(), mark };
        match until {
            Some(until) => self.silenced.push((ban.clone(), until)),
            None => self.bans.push(ban.clone()),
        }
        self.messages.retain(|message| message.name.to_lowercase() != small);
        ban
    }

    /// Lifts what was imposed on a name; false when there was nothing.
    pub fn forgive(&mut self, name: &str) -> bool {
        let (small, before) = (name.to_lowercase(), self.bans.len() + self.silenced.len());
        self.bans.retain(|ban| ban.name != small);
        self.silenced.retain(|(ban, _)| ban.name != small);
        self.bans.len() + self.silenced.len() < before
    }

    /// Counts since the last time it was asked.
    pub fn take_counts(&mut self) -> [u64; 4] {
        std::mem::replace(&mut self.counts, [0, 0, 0, self.people.len() as u64])
    }
}

impl Ban {
    fn fits(&self, person: &Person) -> bool {
        self.mark == Some(person.mark)
            || person.name.as_deref().is_some_and(|name| name.to_lowercase() == self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, mark: u8) -> Person {
        Person { name: Some(name.into()), is_verified: false, is_moderator: false, mark: [mark; 16] }
    }

    #[test]
    fn five_messages_in_ten_seconds_and_no_more_over_a_second_connection() {
        let (mut room, start) = (Room::default(), Instant::now());
        room.enter(1, person("Ana", 1)).unwrap();
        room.enter(2, person("ana", 1)).unwrap();
        assert_eq!(room.enter(3, person("ANA", 2)), Err(Refusal::NameTaken));
        for n in 0..5 {
            room.may_write(1 + n % 2, "x", start).unwrap();
        }
        assert_eq!(room.may_write(2, "x", start + Duration::from_secs(9)), Err(Refusal::TooFast));
        assert!(room.may_write(2, "x", start + WINDOW).is_ok());
        assert_eq!(room.may_write(1, " ", start + WINDOW), Err(Refusal::Length));
        assert_eq!(room.may_write(1, &"x".repeat(501), start + WINDOW), Err(Refusal::Length));
        room.set_slow(Duration::from_secs(30));
        assert_eq!(room.may_write(1, "x", start + Duration::from_secs(39)), Err(Refusal::Slow(30)));
        assert!(room.may_write(1, "x", start + Duration::from_secs(40)).is_ok());
        assert_eq!(room.take_counts(), [0, 2, 0, 2]);
    }

    #[test]
    fn a_ban_holds_for_the_name_and_for_the_address() {
        let (mut room, now) = (Room::default(), Instant::now());
        room.enter(1, person("Troll", 1)).unwrap();
        room.silence("TROLL", Some(now + Duration::from_secs(60)));
        assert_eq!(room.may_write(1, "x", now), Err(Refusal::TimedOut(61)));
        room.silence("troll", None);
        assert_eq!(room.may_write(1, "x", now), Err(Refusal::Banned));
        room.leave(1);
        assert_eq!(room.enter(2, person("Other", 1)), Err(Refusal::Banned));
        assert_eq!(room.enter(3, person("troll", 9)), Err(Refusal::Banned));
        assert!(room.enter(4, person("Ana", 9)).is_ok());
        assert!(room.forgive("Troll") && room.enter(2, person("Other", 1)).is_ok());
    }

    #[test]
    fn names_are_plain_and_words_become_stars() {
        assert_eq!(name_of("  Ana \t B "), Some("Ana B".into()));
        for wrong in ["", " ", "a\u{202e}b", "\u{200b}", &"x".repeat(33)] {
            assert_eq!(name_of(wrong), None, "{wrong:?}");
        }
        let words = ["darn".to_owned(), "ärger".to_owned()];
        assert_eq!(filtered("DARNit, so ein ÄRGER!", &words), "****it, so ein *****!");
        assert_eq!(filtered("fine", &words), "fine");
    }
}
