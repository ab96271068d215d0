//! `[autoscale]`: when there are to be more edges, and when fewer.

use std::time::Duration;

use toml::Spanned;

use super::raw;
use crate::config::check::{Checked, number, problem, time};

/// When there are to be more edges, and when fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscale {
    /// One edge is for so many viewers.
    pub viewers_per_edge: Option<u32>,
    /// And sends so much of its bandwidth, in percent.
    pub egress_share: Option<u32>,
    /// An edge goes when the others would stay below their limits by so much, in percent.
    pub hysteresis: u32,
    /// Between two changes.
    pub cool_down: Duration,
    /// Between two looks.
    pub interval: Duration,
    /// Never fewer edges.
    pub min: u32,
    /// Never more.
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
