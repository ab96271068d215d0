//! Decides how many edges an event needs, with the reason. Pure.

use std::time::Duration;

use crate::config::fleet::Autoscale;

/// The state of the event's edges, as the origin knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Number of servers that are not leaving, including those that do not serve yet.
    pub edges: u32,
    /// Number of these servers whose edges do not report, so that their viewers are unknown.
    pub silent: u32,
    /// Number of viewers at all edges.
    pub viewers: u64,
    /// Total rate that the edges send, in bit/s.
    pub egress: u64,
    /// Rate that one edge can send, in bit/s.
    pub bandwidth: u64,
    /// Time since the last change; `None` if there was none.
    pub since_change: Option<Duration>,
}

/// A number of edges, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Number of edges.
    pub edges: u32,
    /// Reason, for the log.
    pub reason: String,
}

/// Decides how many edges the event needs.
///
/// Adds enough edges for the viewers and the egress immediately. Removes edges only if the remaining ones are below their limits by the
/// hysteresis, and if all edges report. Changes nothing within `cool_down` of the last change. `min` and `max` hold in any case.
pub(crate) fn decide(rules: &Autoscale, seen: Seen) -> Decision {
    let needed = needed(rules, seen, 100);
    let relaxed = self::needed(rules, seen, 100 - u64::from(rules.hysteresis.min(99)));
    let load =
        format!("{} viewers, {} Mbit/s on {} edges", seen.viewers, seen.egress / 1_000_000, seen.edges);
    let stay = |reason: String| Decision { edges: seen.edges, reason };
    let (out, into) = (needed.min(rules.max), relaxed.clamp(rules.min, rules.max));
    if seen.edges < rules.min {
        return Decision {
            edges: rules.min.max(needed).min(rules.max),
            reason: format!("min is {}, {load}", rules.min),
        };
    }
    if seen.edges > rules.max {
        let edges = if seen.silent > 0 { rules.max } else { into };
        return Decision { edges, reason: format!("max is {}, {load}", rules.max) };
    }
    if out <= seen.edges && into >= seen.edges {
        let is_short = needed > rules.max;
        return stay(if is_short {
            format!("max is {}, {needed} would be needed: {load}", rules.max)
        } else {
            load
        });
    }
    if seen.since_change.is_some_and(|since| since < rules.cool_down) {
        return stay(format!("cool_down is {} s, {load}", rules.cool_down.as_secs()));
    }
    if out <= seen.edges && seen.silent > 0 {
        return stay(format!("{} edges do not report, so their viewers are unknown, {load}", seen.silent));
    }
    match out > seen.edges {
        true => Decision { edges: out, reason: format!("{load}: {needed} are needed") },
        false => Decision { edges: into, reason: format!("{load}: {into} are enough") },
    }
}

/// Returns the number of edges that stay below `percent` of their limits.
fn needed(rules: &Autoscale, seen: Seen, percent: u64) -> u32 {
    let by = |load: u64, each: u64| {
        let each = u128::from(each) * u128::from(percent);
        (u128::from(load) * 100).div_ceil(each.max(1))
    };
    let viewers = rules.viewers_per_edge.map_or(0, |each| by(seen.viewers, each.into()));
    let egress = rules
        .egress_share
        .filter(|_| seen.bandwidth > 0)
        .map_or(0, |share| by(seen.egress.saturating_mul(100), seen.bandwidth.saturating_mul(share.into())));
    u32::try_from(viewers.max(egress)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Autoscale = Autoscale {
        viewers_per_edge: Some(100),
        egress_share: Some(70),
        hysteresis: 20,
        cool_down: Duration::from_secs(300),
        interval: Duration::from_secs(10),
        min: 2,
        max: 5,
    };

    fn seen(edges: u32, viewers: u64) -> Seen {
        Seen { edges, viewers, bandwidth: 1_000_000_000, ..Seen::default() }
    }

    #[test]
    fn viewers_and_egress_decide() {
        for (edges, viewers, expected) in [
            (2, 0, 2),
            (2, 200, 2),
            (2, 201, 3),
            (2, 450, 5),
            (2, 9000, 5),
            // Edges are removed only with 20 % in reserve: 3 edges then hold 240 viewers.
            (4, 241, 4),
            (4, 240, 3),
            (5, 10, 2),
            (0, 0, 2),
            (0, 350, 4),
            (7, 350, 5),
        ] {
            let decision = decide(&RULES, seen(edges, viewers));
            assert_eq!(decision.edges, expected, "{edges} {viewers}: {}", decision.reason);
        }
        let busy = Seen { egress: 1_500_000_000, ..seen(2, 10) };
        let decision = decide(&RULES, busy);
        assert_eq!(
            (decision.edges, decision.reason.as_str()),
            (3, "10 viewers, 1500 Mbit/s on 2 edges: 3 are needed")
        );
    }

    #[test]
    fn a_change_cools_down() {
        let soon = |viewers| Seen { since_change: Some(Duration::from_secs(299)), ..seen(3, viewers) };
        assert_eq!(decide(&RULES, soon(400)).edges, 3);
        assert_eq!(decide(&RULES, soon(0)).edges, 3);
        assert!(decide(&RULES, soon(0)).reason.starts_with("cool_down is 300 s"));
        let later = Seen { since_change: Some(Duration::from_secs(300)), ..seen(3, 400) };
        assert_eq!(decide(&RULES, later).edges, 4);
        let dead = Seen { edges: 1, ..soon(0) };
        assert_eq!(decide(&RULES, dead).edges, 2, "fewer than min do not wait");
    }

    #[test]
    fn unknown_viewers_keep_the_edges() {
        let silent = |silent, edges, viewers| decide(&RULES, Seen { silent, ..seen(edges, viewers) });
        assert_eq!(silent(0, 4, 0).edges, 2);
        let stays = silent(3, 4, 0);
        assert_eq!(
            (stays.edges, stays.reason.as_str()),
            (4, "3 edges do not report, so their viewers are unknown, 0 viewers, 0 Mbit/s on 4 edges")
        );
        assert_eq!(silent(1, 3, 400).edges, 4, "the viewers that are known are too many");
        assert_eq!(silent(7, 7, 0).edges, 5, "max holds");
    }

    proptest! {
        #[test]
        fn the_number_is_within_its_bounds_and_settles(
            edges in 0..20_u32, viewers in 0..100_000_u64, egress in 0..20_000_000_000_u64,
            hysteresis in 0..90_u32, min in 1..5_u32, more in 0..10_u32,
        ) {
            let rules = Autoscale { hysteresis, min, max: min + more, ..RULES };
            let first = decide(&rules, Seen { egress, ..seen(edges, viewers) });
            prop_assert!((rules.min..=rules.max).contains(&first.edges));
            let second = decide(&rules, Seen { egress, ..seen(first.edges, viewers) });
            prop_assert_eq!(second.edges, first.edges, "{} then {}", first.reason, second.reason);
        }

        #[test]
        fn more_viewers_never_mean_fewer_edges(edges in 2..=5_u32, a in 0..2000_u64, b in 0..2000_u64) {
            let decided = |viewers| decide(&RULES, seen(edges, viewers)).edges;
            prop_assert!(decided(a.min(b)) <= decided(a.max(b)));
        }
    }
}
