//! A ban or time-out: a name, and the hashes of the addresses that people with the name had. Pure.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use weir_model::front::ChatMessage;

use super::looks::Looks;

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

/// A ban or time-out of a name, and of the addresses that people with the name had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    /// The name in lower case, or for a ban of an address alone, its [`mark_text`].
    pub name: String,
    /// Hashes of the addresses, sorted; empty if nobody with the name was in the room.
    pub marks: Vec<AddressMark>,
    /// Whether the ban applies to names given by tokens (true) or to freely chosen names (false); `None` for both.
    pub is_verified: Option<bool>,
}

impl Ban {
    /// Returns whether a message is of this name, and of a name given by a token or freely chosen, as the ban says.
    pub(in crate::chat) fn is_of(&self, message: &ChatMessage) -> bool {
        message.name.to_lowercase() == self.name
            && self.is_verified.is_none_or(|is_verified| is_verified == message.verified)
    }

    /// Returns whether the ban applies to a person with this name and these hashes of the address.
    pub(super) fn fits(
        &self,
        name: Option<&str>,
        is_verified: bool,
        mut marks: impl Iterator<Item = AddressMark>,
        looks: &Looks,
    ) -> bool {
        let is_kind = self.is_verified.is_none_or(|of| of == is_verified);
        marks.any(|mark| self.marks.contains(&mark))
            || (is_kind && name.is_some_and(|name| looks.are_alike(name, &self.name)))
    }

    /// Returns this ban with everything that an earlier ban of the same name applies to.
    pub(in crate::chat) fn joined(mut self, earlier: &Self) -> Self {
        self.marks.extend(&earlier.marks);
        self.marks.sort_unstable();
        self.marks.dedup();
        self.is_verified = self.is_verified.filter(|_| self.is_verified == earlier.is_verified);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_ban_keeps_what_the_first_one_applies_to() {
        let ban =
            |marks: &[AddressMark], is_verified| Ban { name: "eve".into(), marks: marks.into(), is_verified };
        let first = ban(&[[2; 16]], Some(false));
        assert_eq!(ban(&[], Some(false)).joined(&first), first);
        assert_eq!(ban(&[[1; 16]], Some(false)).joined(&first), ban(&[[1; 16], [2; 16]], Some(false)));
        assert_eq!(ban(&[[2; 16]], Some(true)).joined(&first), ban(&[[2; 16]], None));
        assert_eq!(ban(&[], None).joined(&first), ban(&[[2; 16]], None));
    }
}
