//! The machines that serve viewers together: edges join and leave, and the origin sends each viewer to one of them.
//!
//! - [`agent`]: an edge reports to its origins; [`signature`] and [`wire`] define the reports
//! - [`credential`]: the secret that a rented edge signs with; [`tickets`]: how the edge obtains it
//! - [`origin`]: receives the reports and answers viewers; it uses [`choose`] (pure) and [`assigned`]
//! - [`store`]: the table of edges, in [`memory`] or in [`etcd`], with one suite of tests for both; [`record`]: an edge in the
//!   table
//! - [`probe`]: checks the edges that the configuration lists
//! - [`balancer`]: nginx in front of the edges
//! - [`pull`]: relays streams on an edge; [`members`]: which of them need tokens;
//!   [`revoked`]: which tokens are not valid any more; [`voice`]: how an edge speaks for its viewers at the origin
//! - [`troubles`]: the streams that an edge cannot pull
//! - [`machine`]: measures the load of this machine; [`figures`]: what administrators see of a node
//! - [`pair`]: two restream servers with the same keys, targets, bans and administrators

pub(crate) mod agent;
pub(crate) mod assigned;
pub(crate) mod balancer;
pub(crate) mod choose;
pub(crate) mod credential;
pub(crate) mod etcd;
pub(crate) mod figures;
pub(crate) mod machine;
pub(crate) mod members;
pub(crate) mod memory;
pub(crate) mod origin;
pub(crate) mod pair;
mod prepared;
mod probe;
pub(crate) mod pull;
pub(crate) mod record;
mod revoked;
pub(crate) mod signature;
#[cfg(test)]
mod simulation;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod tickets;
pub(crate) mod troubles;
pub(crate) mod voice;
pub(crate) mod wire;
