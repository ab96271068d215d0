//! Messages of the other node of a pair.

use weir_model::front::ChatMessage;

use super::{AddressMark, HISTORY, Kept, Room};

/// What a message of the other node is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message that is not in the room.
    New,
    /// A deleted message that a moderator of the other node restored.
    Restored,
    /// It is in the room already.
    Known,
}

impl Room {
    /// Adds a message that was written or restored on the other node of a pair.
    pub(crate) fn hear(&mut self, message: ChatMessage, mark: Option<AddressMark>) -> Heard {
        let is_it = |kept: &Kept| kept.message.id == message.id;
        if self.messages.iter().any(is_it) {
            return Heard::Known;
        }
        let mut heard = Heard::New;
        for removed in &mut self.removed {
            let before = removed.kept.len();
            removed.kept.retain(|kept| !is_it(kept));
            if removed.kept.len() < before {
                heard = Heard::Restored;
            }
        }
        self.messages.push_back(Kept { message, mark });
        self.sort();
        if self.messages.len() > HISTORY {
            self.messages.pop_front();
        }
        heard
    }
}
