//! Servers rented for an event: Weir creates them before it, adjusts their number during it, and deletes them after it.
//!
//! The provider's list of servers with the event's label is the only record of the servers, so each command may be killed at any
//! moment and run again. Start reading at [`run`].
//!
//! - [`price`], [`plan`], [`autoscale`] and [`lost`] make the decisions and are pure
//! - [`cloud`] is the interface to a provider: [`hetzner`], or [`program`]
//! - [`script`] is the script that a new server runs at its first start
//! - [`origin`] queries the origin's daemon; [`trial`] requests a segment from an edge; [`dns`] updates DNS names
//! - [`ledger`] records the cost of deleted servers

pub(crate) mod autoscale;
pub(crate) mod cloud;
mod dns;
pub(crate) mod error;
mod hetzner;
mod ledger;
mod lost;
mod origin;
pub(crate) mod plan;
pub(crate) mod price;
mod process;
mod program;
pub(crate) mod run;
mod script;
pub(crate) mod server;
pub(crate) mod status;
mod trial;
