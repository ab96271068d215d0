//! Servers that are rented for an event: created before it, more and fewer while it lasts, deleted after it.
//!
//! The provider's list of servers with the event's label is the truth: nothing else is remembered of them, so each command may be
//! killed at any moment and run again. Start reading at [`run`].
//!
//! - [`price`], [`plan`] and [`autoscale`] decide and are pure
//! - [`cloud`] is what a provider does: [`hetzner`], or [`program`]
//! - [`script`] is what a new server runs at its first start
//! - [`origin`] asks the origin's daemon; [`trial`] asks an edge for a segment; [`dns`] tells names
//! - [`ledger`] remembers what servers have cost that are gone

pub mod autoscale;
pub mod cloud;
mod dns;
pub mod error;
mod hetzner;
mod ledger;
mod origin;
pub mod plan;
pub mod price;
mod process;
mod program;
pub mod run;
mod script;
pub mod server;
pub mod status;
mod trial;
