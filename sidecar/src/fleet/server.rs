//! A rented server, and an order for one.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use weir_model::{Secret, Timestamp};

/// A rented server with the event's label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    /// The provider's id.
    pub id: String,
    /// Name: `EVENT-N`, or another one if somebody has renamed the server.
    pub name: String,
    /// Start of its cost.
    pub created: Timestamp,
    /// State, as the provider calls it.
    pub state: String,
    /// Public address.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// Order for a new server.
#[derive(Debug)]
pub(crate) struct Order {
    /// Name: `EVENT-N`.
    pub name: String,
    /// Script for the first start. It contains a join ticket.
    pub user_data: Secret,
}
