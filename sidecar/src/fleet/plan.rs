//! Computes the servers and the cost of an event, and how many more servers its budget allows.

use serde::Serialize;
use weir_model::Timestamp;

use super::price::{Money, Price};
use super::server::Server;
use crate::config::fleet::Fleet;

/// The plan that `weir fleet plan` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// Name of the event.
    pub event: String,
    /// Names of the first servers.
    pub servers: Vec<String>,
    /// Server type, as the provider calls it.
    pub server_type: String,
    /// Location, as the provider calls it.
    pub location: String,
    /// Time at which the servers are created.
    pub create_at: Timestamp,
    /// Time from which viewers are expected.
    pub start: Timestamp,
    /// End of the event.
    pub end: Timestamp,
    /// Time at which the last server is deleted.
    pub delete_by: Timestamp,
    /// Price of one server.
    pub price: Price,
    /// Cost of one server for the whole event.
    pub each: Money,
    /// Cost of all `servers` for the whole event.
    pub total: Money,
    /// Cost of the maximum number of servers for the whole event.
    pub most: Money,
    /// Highest cost of the traffic of the maximum number of servers, if each sends its whole bandwidth all the time; `None` if the
    /// provider states no price. It is not part of `most`, nor of the budget.
    pub traffic: Option<Money>,
    /// Budget of the event.
    pub budget: Money,
    /// Number of servers that the budget allows for the whole event.
    pub affordable: u64,
}

impl Plan {
    /// Returns whether the event has ended.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.end <= now
    }

    /// Returns whether the first servers fit into the budget.
    pub(crate) fn fits(&self) -> bool {
        self.total <= self.budget
    }
}

/// Returns the name of a server of this event.
pub(crate) fn name(fleet: &Fleet, nth: u32) -> String {
    format!("{}-{nth}", fleet.event)
}

/// Returns the number of a server whose name belongs to this event.
pub(crate) fn nth(fleet: &Fleet, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(&fleet.event)?.strip_prefix('-')?;
    let nth: u32 = digits.parse().ok()?;
    (nth > 0 && self::name(fleet, nth) == name).then_some(nth)
}

/// Returns the time at which the first server is created.
pub(crate) fn create_at(fleet: &Fleet) -> Timestamp {
    let lead = u64::try_from(fleet.lead.as_millis()).unwrap_or_default();
    Timestamp::from_millis(fleet.start.as_millis().saturating_sub(lead))
}

/// Returns the time from which servers count for an event: a day before its first server.
pub(crate) fn since(fleet: &Fleet) -> Timestamp {
    Timestamp::from_millis(create_at(fleet).as_millis().saturating_sub(86_400_000))
}

/// Returns the time at which the last server is deleted: after the drain time, and one minute for the deletion.
pub(crate) fn delete_by(fleet: &Fleet) -> Timestamp {
    fleet.end.plus_seconds(fleet.drain.as_secs() + 60)
}

/// Plans an event.
pub(crate) fn plan(fleet: &Fleet, price: Price) -> Plan {
    let (create_at, delete_by) = (create_at(fleet), delete_by(fleet));
    let each = price.of(create_at, delete_by);
    let budget = Money::euros(fleet.budget);
    let most = fleet.autoscale.map_or(fleet.edges, |rules| rules.max);
    Plan {
        event: fleet.event.clone(),
        servers: (1..=fleet.edges).map(|nth| name(fleet, nth)).collect(),
        server_type: fleet.server.kind.clone(),
        location: fleet.server.location.clone(),
        create_at,
        start: fleet.start,
        end: fleet.end,
        delete_by,
        price,
        each,
        total: each.times(fleet.edges.into()),
        most: each.times(most.into()),
        traffic: price
            .traffic
            .map(|traffic| traffic.most(fleet.edge.bandwidth, create_at, delete_by).times(most.into())),
        budget,
        affordable: budget.0.checked_div(each.0).unwrap_or(u64::MAX),
    }
}

/// Returns the cost of the servers until the event's end, including the deleted ones (`spent`).
pub(crate) fn committed(
    fleet: &Fleet,
    price: Price,
    spent: Money,
    servers: &[Server],
    now: Timestamp,
) -> Money {
    let until = delete_by(fleet).max(now);
    spent + servers.iter().map(|server| price.of(server.created, until)).sum()
}

/// Returns how many more servers may be created now: at most `max_edges` exist simultaneously, and the budget must last for the rest of
/// the event.
pub(crate) fn affordable(
    fleet: &Fleet,
    price: Price,
    spent: Money,
    servers: &[Server],
    now: Timestamp,
) -> u32 {
    let places = fleet.max_edges.saturating_sub(u32::try_from(servers.len()).unwrap_or(u32::MAX));
    let left = Money::euros(fleet.budget).0.saturating_sub(committed(fleet, price, spent, servers, now).0);
    let each = price.of(now, delete_by(fleet).max(now)).0;
    let many = left.checked_div(each).unwrap_or(u64::MAX);
    places.min(u32::try_from(many).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn fleet() -> Fleet {
        let text = include_str!("../../../nginx-conf/fleet/event.toml");
        crate::config::fleet::parse(Path::new("event.toml"), text).unwrap()
    }

    fn server(nth: u32, created: Timestamp) -> Server {
        Server {
            id: nth.to_string(),
            name: format!("gala-{nth}"),
            created,
            state: "running".into(),
            address: None,
        }
    }

    const PRICE: Price = Price { hourly: Money(10_000), monthly: Money(6_000_000), traffic: None };

    #[test]
    fn the_plan_has_all_hours_that_begin() {
        let plan = plan(&fleet(), PRICE);
        // From 17:30 to 23:36, seven hours begin.
        assert_eq!((plan.each, plan.total, plan.most), (Money(70_000), Money(210_000), Money(560_000)));
        assert_eq!(plan.servers, ["gala-1", "gala-2", "gala-3"]);
        assert_eq!((plan.affordable, plan.fits()), (357, true));
        let dear = Price { hourly: Money(2_000_000), monthly: Money(900_000_000), traffic: None };
        assert!(!super::plan(&fleet(), dear).fits());
        assert!(plan.is_over(plan.end) && !plan.is_over(plan.start));
    }

    #[test]
    fn names_are_the_events_own() {
        let fleet = fleet();
        for (name, expected) in [
            ("gala-1", Some(1)),
            ("gala-12", Some(12)),
            ("gala-01", None),
            ("gala-0", None),
            ("gala-x", None),
            ("galaxy-1", None),
            ("gala-1-2", None),
        ] {
            assert_eq!(nth(&fleet, name), expected, "{name}");
        }
    }

    proptest! {
        /// For any servers and any additions, the event stays within its budget and its maximum number.
        #[test]
        fn the_budget_holds(
            hourly in 1..3_000_000_u64,
            budget in 1..60_u32,
            steps in prop::collection::vec((0..3_600_000_u64, 0..5_u32, 0..3_usize), 1..20),
        ) {
            let mut fleet = fleet();
            fleet.budget = budget;
            let price = Price { hourly: Money(hourly), monthly: Money(hourly * 600), traffic: None };
            let mut now = create_at(&fleet);
            let (mut servers, mut spent, mut next) = (Vec::<Server>::new(), Money(0), 1);
            for (later, wanted, fewer) in steps {
                now = now.plus_millis(later);
                if now >= fleet.end {
                    break;
                }
                for gone in servers.drain(..fewer.min(servers.len())) {
                    spent = spent + price.of(gone.created, now);
                }
                for _ in 0..wanted.min(affordable(&fleet, price, spent, &servers, now)) {
                    servers.push(server(next, now));
                    next += 1;
                }
                prop_assert!(servers.len() <= fleet.max_edges as usize);
                prop_assert!(committed(&fleet, price, spent, &servers, now) <= Money::euros(budget));
            }
            let end = delete_by(&fleet);
            let cost = spent + servers.iter().map(|server| price.of(server.created, end)).sum();
            prop_assert!(cost <= Money::euros(budget), "{cost} of {budget}");
        }
    }
}
