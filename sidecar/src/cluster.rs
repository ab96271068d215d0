//! The machines that serve viewers together: edges join and leave, and the origin sends each viewer to one of them.
//!
//! - [`agent`]: an edge reports to its origins; [`signature`] and [`wire`] define the reports
//! - [`credential`]: the secret that a rented edge signs with; [`tickets`]: how the edge obtains it
//! - [`origin`]: receives the reports and answers viewers; it uses [`choose`] (pure) and [`assigned`]
//! - [`store`]: the table of edges, in [`memory`] or in [`etcd`], with one suite of tests for both; [`record`]: an edge in the
//!   table
//! - [`probe`]: checks the edges that the configuration lists
//! - [`balancer`]: nginx in front of the edges
//! - [`pull`]: relays streams on an edge; [`voice`]: how an edge speaks for its viewers at the origin
//! - [`machine`]: measures the load of this machine
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
pub mod voice;
pub mod wire;
