//! The shared memory of all workers of an nginx.
//!
//! The zone consists only of atomics. A worker that reads while another writes, or that finds the incomplete changes of
//! a dead worker, may see an old value but never breaks a rule of the language. The crate has no unsafe code; the one
//! cast from an address to these types is in `zone.rs` of `ngx-rtmp`.
//!
//! ```text
//! Root      counters, tables of a fixed size                                   layout.rs throttle.rs connections.rs bans.rs
//! buckets   128 bytes each: eight viewers over HTTP                            viewer_table.rs viewers.rs
//! heads     hash chains of records                                             arena.rs hash.rs
//! blocks    128 bytes each: a record (key, target, stream, player, push,       block.rs keys.rs targets.rs streams.rs players.rs
//!           event, worker, revocation, audience) or its text                   pushes.rs events.rs workers.rs revocations.rs
//!                                                                              audiences.rs
//! ```
//!
//! The structure changes only under [`Zone::lock`]. If a worker is killed while it holds the lock, the zone stays
//! marked, and the next worker that locks it rebuilds the free list and the chains from the tags of the blocks. The
//! media path writes to one [`StreamRow`] and takes no lock.
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! heap
//! lock
//! state reclaim viewers sweeps
//! players pushes
//! streams strangers
//! keys targets revocations events workers audiences
//! arena
//! handover
//! layout
//! bans connections throttle viewer_table
//! refusals bucket hash block error
//! ```

#![forbid(unsafe_code)]

mod arena;
mod audiences;
mod bans;
mod block;
mod bucket;
mod connections;
#[cfg(test)]
mod death;
#[cfg(test)]
mod effort;
mod error;
mod events;
mod handover;
mod hash;
pub mod heap;
mod keys;
mod layout;
mod lock;
mod players;
mod pushes;
mod reclaim;
mod refusals;
mod revocations;
mod state;
mod strangers;
mod streams;
mod sweeps;
mod targets;
#[cfg(test)]
mod tests;
mod throttle;
mod viewer_table;
mod viewers;
mod workers;

pub use arena::{Locked, Mutex, Zone};
pub use audiences::{Audience, StreamAudience};
pub use bans::MAX_BANS;
pub use block::Block;
pub use error::ZoneFull;
pub use events::{Resume, StoredEvent};
pub use handover::{Description, Unfit};
pub use keys::list::{KeyPlace, KeyWalk};
pub use keys::{KeyRecord, Stage};
pub use layout::{MIN_SIZE, Plan, Root, VERSION};
pub use players::{LivePlayer, NewPlayer, PlayerRow};
pub use pushes::{LivePush, MAX_PUSH_ERROR, NewPush, PushId, PushRow};
pub use refusals::{GUARD_REASONS, PUBLISH_REASONS};
pub use revocations::RevocationError;
pub use state::{Adoption, Misfit, Shown, max_state_file};
pub use streams::{Claim, LiveStream, MAX_FOLDERS, NewStream, Rates, StreamId, StreamRow};
pub use throttle::Summary;
pub use viewer_table::{ViewerBucket, ViewerKey};
pub use viewers::{Seated, Viewer, Watched};
pub use workers::{Door, MAX_DOORS, WorkerFacts, WorkerId};
