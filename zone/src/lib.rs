//! What lives in the memory that all workers of an nginx share.
//!
//! The zone is made of atomics and of nothing else, so a worker that reads while another writes, or that
//! finds what a dying worker left behind, may see an old value and never breaks a rule of the language. The
//! crate has no unsafe code; the one cast from an address to these types is the module's (`ffi/zone.rs`).
//!
//! ```text
//! Root      counters, tables of fixed size an address                          layout.rs throttle.rs connections.rs guard.rs
//! heads     hash chains of records                                             lock.rs
//! blocks    128 bytes each: a record (key, target, stream, player, push,       block.rs keys.rs targets.rs streams.rs players.rs
//!           event, worker) or its text                                         pushes.rs events.rs workers.rs
//! ```
//!
//! Structure changes only under [`Zone::lock`]. A worker killed inside leaves the zone marked, and the next
//! one to lock it rebuilds free list and chains from the blocks' own tags. The media path touches one
//! [`StreamRow`] and takes no lock.

#![forbid(unsafe_code)]

mod bans;
mod block;
mod connections;
#[cfg(test)]
mod death;
mod events;
mod guard;
pub mod heap;
mod keys;
mod layout;
mod lock;
mod players;
mod pushes;
mod state;
mod streams;
mod targets;
#[cfg(test)]
mod tests;
mod throttle;
mod workers;

pub use block::Block;
pub use events::{Event, Resume};
pub use guard::{GUARD_REASONS, PUBLISH_REASONS, Summary};
pub use keys::{KeyPlace, KeyRecord, Stage};
pub use layout::{MIN_SIZE, Plan, Root, VERSION};
pub use lock::{Locked, Mutex, Zone};
pub use players::{LivePlayer, NewPlayer, PlayerRow};
pub use pushes::{LivePush, MAX_PUSH_ERROR, NewPush, PushId, PushRow};
pub use state::{Misfit, Shown};
pub use streams::{Claim, LiveStream, MAX_FOLDERS, NewStream, Rates, StreamId, StreamRow};
pub use workers::{Door, MAX_DOORS, WorkerFacts, WorkerId};

/// The zone has no free block left for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the zone is full: a larger \"weir_zone\" takes a restart of nginx")]
pub struct ZoneFull;
