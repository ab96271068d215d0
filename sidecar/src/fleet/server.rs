//! A rented server, and the order of one.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use weir_model::{Secret, Timestamp};

/// A rented server that carries the event's label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The provider's.
    pub id: String,
    /// `EVENT-N`.
    pub name: String,
    /// Since when it costs.
    pub created: Timestamp,
    /// In the provider's words.
    pub state: String,
    /// Of the public network.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// What is to be created.
#[derive(Debug)]
pub struct Order {
    /// `EVENT-N`.
    pub name: String,
    /// Runs at the first start. It holds a join ticket.
    pub user_data: Secret,
}
