use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn edge(id: &str, share: f64, load: f64) -> Candidate {
    Candidate {
        id: id.parse().unwrap(),
        address: format!("https://{id}"),
        region: None,
        bandwidth: 1_000_000_000,
        egress: (share * 1e9) as u64,
        assigned: 0,
        load,
        viewers: 0,
        max_viewers: None,
    }
}

fn chosen(edges: &[Candidate], viewer: u64) -> Option<String> {
    Fleet::new(edges.to_vec()).choose(viewer, None, &[]).map(|edge| edge.id.to_string())
}

#[test]
fn egress_counts_before_load() {
    for viewer in 0..50 {
        let viewer = number(&viewer);
        let edges = [edge("a", 0.5, 0.0), edge("b", 0.1, 2.0), edge("c", 0.9, 0.0)];
        assert_eq!(chosen(&edges, viewer).as_deref(), Some("b"));
        let edges = [edge("a", 0.1, 0.6), edge("b", 0.1, 0.1), edge("c", 0.1, 0.4)];
        assert_eq!(chosen(&edges, viewer).as_deref(), Some("b"));
    }
    assert_eq!(chosen(&[], 1), None);
    assert_eq!(chosen(&[edge("a", 0.96, 0.0)], 1), None);
    let sent_to = |assigned| Candidate { assigned, ..edge("a", 0.1, 0.0) };
    assert_eq!(chosen(&[sent_to(300_000_000), edge("b", 0.2, 0.0)], 1).as_deref(), Some("b"));
    // Whatever the origin has counted, only the edge's own report makes it full.
    let counted = sent_to(2_000_000_000);
    assert_eq!(chosen(&[counted.clone(), edge("b", 0.85, 0.0)], 1).as_deref(), Some("b"));
    assert_eq!(chosen(&[counted.clone(), edge("b", 0.96, 0.0)], 1).as_deref(), Some("a"));
    assert_eq!(chosen(&[Candidate { egress: 960_000_000, ..counted }], 1), None);
    let limited = Candidate { viewers: 10, max_viewers: Some(10), ..edge("a", 0.0, 0.0) };
    assert_eq!(chosen(&[limited], 1), None);
}

#[test]
fn regions_come_first_and_are_no_prison() {
    let near = |share| Candidate { region: Some("eu".into()), ..edge("near", share, 0.0) };
    let fleet = Fleet::new([near(0.6), edge("far", 0.0, 0.0)]);
    let id = |region, not: Option<&str>| {
        let not = not.map(|not| not.parse().unwrap());
        fleet.choose(7, region, not.as_slice()).map(|edge| edge.id.as_str())
    };
    assert_eq!(
        (id(Some("eu"), None), id(None, None), id(Some("us"), None)),
        (Some("near"), Some("far"), Some("far"))
    );
    assert_eq!(id(Some("eu"), Some("near")), Some("far"));
    let fleet = Fleet::new([near(0.99), edge("far", 0.5, 0.0)]);
    assert_eq!(fleet.choose(7, Some("eu"), &[]).unwrap().id.as_str(), "far");
}

#[test]
fn viewers_spread_over_equal_edges() {
    let edges: Vec<Candidate> = (0..20).map(|n| edge(&format!("e{n}"), 0.0, 0.0)).collect();
    let fleet = Fleet::new(edges);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for viewer in 0..20_000_u32 {
        *counts.entry(fleet.choose(number(&viewer), None, &[]).unwrap().id.as_str()).or_default() += 1;
    }
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|count| (300..3000).contains(count)), "{counts:?}");
}

/// The limit is 20 microseconds; a debug build on a busy machine has ten times as much.
#[test]
fn a_choice_among_ten_thousand_is_fast() {
    let edges: Vec<Candidate> = (0..10_000)
        .map(|n| edge(&format!("e{n}"), f64::from(n % 100) / 100.0, f64::from(n % 7) / 7.0))
        .collect();
    let begin = Instant::now();
    let fleet = Fleet::new(edges);
    let built = begin.elapsed();
    let begin = Instant::now();
    for viewer in 0..10_000_u32 {
        black_box(fleet.choose(number(&viewer), None, &[]));
    }
    let each = begin.elapsed() / 10_000;
    println!("built in {built:?}, a choice in {each:?}");
    assert!(each.as_micros() < 20, "{each:?}");
}

fn some_edges() -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::vec((0.0..1.2_f64, 0.0..2.0_f64, 0..3_u8, 0..12_u32), 0..40).prop_map(|all| {
        let one = |(n, (share, load, region, viewers)): (usize, (f64, f64, u8, u32))| Candidate {
            region: (region > 0).then(|| format!("r{region}")),
            viewers,
            max_viewers: (viewers > 5).then_some(9),
            ..edge(&format!("e{n}"), share, load)
        };
        all.into_iter().enumerate().map(one).collect()
    })
}

fn are_best<'c>(pool: impl Iterator<Item = &'c Candidate>, chosen: &Candidate) -> bool {
    let pool: Vec<_> = pool.collect();
    let better = pool.iter().filter(|edge| edge.band() < chosen.band()).count();
    better == 0 || better < pool.len() / 10
}

proptest! {
    /// An edge is chosen unless all are full; less than a tenth of the pool is in better bands.
    #[test]
    fn the_best_band_is_chosen(edges in some_edges(), viewer: u64) {
        let open: Vec<&Candidate> = edges.iter().filter(|edge| !edge.is_full()).collect();
        let fleet = Fleet::new(edges.clone());
        match fleet.choose(viewer, None, &[]) {
            None => prop_assert!(open.is_empty()),
            Some(chosen) => {
                prop_assert!(!chosen.is_full());
                prop_assert!(are_best(open.iter().copied(), chosen));
            }
        }
        let near: Vec<_> = open.iter().filter(|edge| edge.region.as_deref() == Some("r1")).collect();
        if let Some(chosen) = fleet.choose(viewer, Some("r1"), &[]).filter(|_| !near.is_empty()) {
            prop_assert!(chosen.region.as_deref() == Some("r1"));
            prop_assert!(are_best(near.into_iter().copied(), chosen));
        }
    }

    /// The order of the edges makes no difference, and the loss of another edge moves no viewer.
    #[test]
    fn viewers_return_to_their_edge(edges in some_edges(), viewer: u64, gone: prop::sample::Index) {
        let Some(before) = chosen(&edges, viewer) else { return Ok(()) };
        let mut turned = edges.clone();
        turned.reverse();
        prop_assert_eq!(chosen(&turned, viewer), Some(before.clone()));
        let gone = gone.index(edges.len());
        // With many edges, the best band is a tenth of them, and another edge may belong to it after the loss.
        if edges[gone].id.as_str() != before && edges.len() < 20 {
            turned.retain(|edge| edge.id != edges[gone].id);
            prop_assert_eq!(chosen(&turned, viewer), Some(before.clone()));
        }
        // The list for a page starts with the edges to which its viewer is sent.
        let fleet = Fleet::new(edges.clone());
        for region in [None, Some("r1")] {
            let near: Vec<_> = fleet.near(viewer, region, &[], 3).map(|edge| edge.id.clone()).collect();
            prop_assert_eq!(near.first(), fleet.choose(viewer, region, &[]).map(|edge| &edge.id));
            prop_assert_eq!(near.get(1), fleet.choose(viewer, region, &near[..1]).map(|edge| &edge.id));
        }
        let not = before.parse().unwrap();
        let fleet = Fleet::new(edges);
        prop_assert!(fleet.choose(viewer, None, std::slice::from_ref(&not)).is_none_or(|other| other.id != not));
    }
}
