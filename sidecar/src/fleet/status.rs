//! What an event has at this moment, and what that costs.

use std::path::Path;

use serde::Serialize;
use weir_model::Timestamp;

use super::cloud::Cloud;
use super::error::Error;
use super::ledger::Ledger;
use super::origin::Origin;
use super::plan;
use super::price::Money;
use crate::clock;
use crate::config::fleet::Fleet;

/// What `weir fleet status` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of the event.
    pub event: String,
    /// The servers that are there.
    pub servers: Vec<Row>,
    /// All servers so far, those that are gone included.
    pub cost: Money,
    /// The same, and those that are there until the event's end.
    pub committed: Money,
    /// What it may cost.
    pub budget: Money,
    /// When the last server is deleted.
    pub delete_by: Timestamp,
    /// Servers are there although the event is over.
    pub overdue: bool,
    /// Why nothing is known of the edges.
    pub origin_error: Option<String>,
}

/// A server.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `EVENT-N`.
    pub name: String,
    /// The provider's.
    pub id: String,
    /// In the provider's words.
    pub state: String,
    /// Of the public network.
    pub address: Option<std::net::IpAddr>,
    /// In seconds.
    pub age_s: u64,
    /// So far.
    pub cost: Money,
    /// As the origin lists it; none before it has joined.
    pub edge: Option<String>,
    /// At this edge.
    pub viewers: Option<u32>,
}

/// Looks at an event without changing anything.
///
/// # Errors
///
/// The provider, or the file with what was spent.
pub async fn status(fleet: &Fleet, folder: &Path, socket: &Path) -> Result<Status, Error> {
    let cloud = Cloud::open(fleet)?;
    let ledger = Ledger::read(folder, &fleet.event, plan::since(fleet))?;
    let price = cloud.price().await?;
    let servers = cloud.list(fleet).await?;
    let edges = Origin::at(socket)?.edges().await;
    let (now, spent) = (clock::now(), ledger.spent(price, &servers));
    let rows: Vec<Row> = servers
        .iter()
        .map(|server| {
            let known = edges.as_deref().unwrap_or_default();
            let edge = known.iter().find(|edge| edge.id == server.name);
            Row {
                name: server.name.clone(),
                id: server.id.clone(),
                state: server.state.clone(),
                address: server.address,
                age_s: now.millis_since(server.created) / 1000,
                cost: price.of(server.created, now),
                edge: edge.map(|edge| edge.state.clone()),
                viewers: edge.map(|edge| edge.viewers),
            }
        })
        .collect();
    let delete_by = plan::delete_by(fleet);
    Ok(Status {
        event: fleet.event.clone(),
        cost: spent + rows.iter().map(|row| row.cost).sum(),
        committed: plan::committed(fleet, price, spent, &servers, now),
        budget: Money::euros(fleet.budget),
        delete_by,
        overdue: !rows.is_empty() && now > delete_by,
        servers: rows,
        origin_error: edges.err().map(|error| error.to_string()),
    })
}
