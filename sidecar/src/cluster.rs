//! The machines that serve viewers together: edges that join and leave, and which of them a viewer is sent to.
//!
//! - [`agent`]: an edge tells its origins of itself; [`signature`] and [`wire`] are how
//! - [`credential`] is what a rented edge signs with, and [`tickets`] is how it gets that
//! - [`origin`]: takes the reports and answers viewers, from [`choose`] (pure), with what [`assigned`] knows by itself
//! - [`store`]: where the table of edges is: in [`memory`] or in [`etcd`], with one suite of tests; [`record`] is an edge in it
//! - [`probe`]: edges that the configuration lists
//! - [`balancer`]: nginx in front of the edges
//! - [`pull`]: an edge that relays
//! - [`machine`]: how busy this machine is
//! - [`pair`]: two restream servers with the same keys, targets, bans and administrators

pub mod agent;
pub mod assigned;
pub mod balancer;
pub mod choose;
pub mod credential;
pub mod etcd;
pub mod machine;
pub mod memory;
pub mod origin;
pub mod pair;
mod prepared;
mod probe;
pub mod pull;
pub mod record;
pub mod signature;
#[cfg(test)]
mod simulation;
pub mod store;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod wire;
