//! `[autoscale]`: rules for more or fewer edges.

use std::time::Duration;

use toml::Spanned;

use super::raw;
use crate::config::check::{Checked, number, problem, time};

/// Rules for more or fewer edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Autoscale {
    /// Number of viewers per edge.
    pub viewers_per_edge: Option<u32>,
    /// Share of its bandwidth that an edge may use, in percent.
    pub egress_share: Option<u32>,
    /// Margin in percent: an edge is removed if the remaining edges would stay below their limits by this margin.
    pub hysteresis: u32,
    /// Minimum time between two changes.
    pub cool_down: Duration,
    /// Interval between measurements.
    pub interval: Duration,
    /// Minimum number of edges.
    pub min: u32,
    /// Maximum number of edges.
    pub max: u32,
}

pub(super) fn autoscale(written: Spanned<raw::Autoscale>, edges: u32, most: u32) -> Checked<Autoscale> {
    let here = Spanned::new(written.span(), ());
    let raw = written.into_inner();
    let some = |key, given, most| match given {
        &None => Ok(None),
        given => number(key, given, 1, 1, most).map(Some),
    };
    let viewers_per_edge = some("viewers_per_edge", &raw.viewers_per_edge, 1_000_000)?;
    let egress_share = some("egress_share", &raw.egress_share, 100)?;
    if viewers_per_edge.is_none() && egress_share.is_none() {
        return problem(
            &here,
            "[autoscale]: needs viewers_per_edge (a number) or egress_share (percent), or both",
        );
    }
    let min = number("min", &raw.min, edges, 1, most)?;
    Ok(Autoscale {
        viewers_per_edge,
        egress_share,
        hysteresis: number("hysteresis", &raw.hysteresis, 20, 0, 90)?,
        cool_down: time("cool_down", &raw.cool_down, 300, 0, 86_400)?,
        interval: time("interval", &raw.interval, 10, 1, 3600)?,
        min,
        max: number("max", &raw.max, most, min, most)?,
    })
}
