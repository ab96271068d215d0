//! The current servers of an event, and their cost.

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

/// The status that `weir fleet status` shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    /// Name of the event.
    pub event: String,
    /// The existing servers.
    pub servers: Vec<Row>,
    /// Cost of all servers so far, including the deleted ones; `None` if it is unknown.
    pub cost: Option<Money>,
    /// `cost`, and the cost of the existing servers until the event's end.
    pub committed: Option<Money>,
    /// Budget of the event.
    pub budget: Money,
    /// Time at which the last server is deleted.
    pub delete_by: Timestamp,
    /// Servers still exist although the event is over.
    pub overdue: bool,
    /// Reason why the state of the edges is unknown.
    pub origin_error: Option<String>,
    /// Reason why the cost is unknown.
    pub cost_error: Option<String>,
}

/// A server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Name: `EVENT-N`, or another one if somebody has renamed the server.
    pub name: String,
    /// The provider's id.
    pub id: String,
    /// State, as the provider calls it, or `renamed`.
    pub state: String,
    /// Public address.
    pub address: Option<std::net::IpAddr>,
    /// Age in seconds.
    pub age_s: u64,
    /// Cost so far; `None` if the price is unknown.
    pub cost: Option<Money>,
    /// State in the origin's list; `None` before the edge has joined.
    pub edge: Option<String>,
    /// Number of viewers at this edge.
    pub viewers: Option<u32>,
}

/// Returns the status of an event without changing anything.
///
/// # Errors
///
/// An error of the provider's list. Without the price, or the file with the spent money, the cost is unknown.
pub(crate) async fn status(fleet: &Fleet, folder: &Path, socket: &Path) -> Result<Status, Error> {
    let cloud = Cloud::open(fleet)?;
    let servers = cloud.list(fleet).await?.all();
    let price = cloud.price().await.map_err(Error::from);
    let edges = Origin::at(socket)?.edges().await;
    let now = clock::now();
    let rows: Vec<Row> = servers
        .iter()
        .map(|server| {
            let known = edges.as_deref().unwrap_or_default();
            let is_renamed = plan::nth(fleet, &server.name).is_none();
            let edge = known.iter().find(|edge| edge.id == server.name && !is_renamed);
            Row {
                name: server.name.clone(),
                id: server.id.clone(),
                state: if is_renamed { "renamed".to_owned() } else { server.state.clone() },
                address: server.address,
                age_s: now.millis_since(server.created) / 1000,
                cost: price.as_ref().ok().map(|price| price.of(server.created, now)),
                edge: edge.map(|edge| edge.state.clone()),
                viewers: edge.map(|edge| edge.viewers),
            }
        })
        .collect();
    let costs = price.and_then(|price| {
        let spent = Ledger::read(folder, &fleet.event, plan::since(fleet))?.spent(price, &servers);
        let so_far = spent + servers.iter().map(|server| price.of(server.created, now)).sum();
        Ok((so_far, plan::committed(fleet, price, spent, &servers, now)))
    });
    let delete_by = plan::delete_by(fleet);
    Ok(Status {
        event: fleet.event.clone(),
        cost: costs.as_ref().ok().map(|(so_far, _)| *so_far),
        committed: costs.as_ref().ok().map(|(_, committed)| *committed),
        budget: Money::euros(fleet.budget),
        delete_by,
        overdue: !rows.is_empty() && now > delete_by,
        servers: rows,
        origin_error: edges.err().map(|error| error.to_string()),
        cost_error: costs.err().map(|error| error.to_string()),
    })
}
