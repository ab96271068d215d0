//! Push targets are invisible until written, change as a whole, and match the state file. Workers notice changes by a
//! generation.

use weir_model::target::{Target, TargetId, TargetSource};
use weir_zone::{Misfit, ZoneFull, heap::Heap};

use super::{NOW, PID, TestZone, add_target, heap, insert, key, register, shown, target, used};

fn ids(zone: &TestZone<'_>) -> Vec<u64> {
    zone.lock(PID).targets().iter().map(|target| target.id.0).collect()
}

fn with_url(id: u64, key: &str) -> Target {
    Target { url: format!("rtmp://a.example/live/{key}").parse().unwrap(), ..target(id) }
}

#[test]
fn a_target_is_seen_once_it_is_confirmed() {
    let heap = heap();
    let zone = heap.zone();
    let before = zone.targets_generation();
    zone.lock(PID).pend_target(&target(7), PID).unwrap();
    assert!(ids(&zone).is_empty() && zone.lock(PID).target(TargetId(7)).is_none());
    assert!(!zone.lock(PID).remove_target(TargetId(7)));
    assert_eq!(zone.lock(PID).replace_target(&target(7)), Ok(false));
    assert_eq!(zone.targets_generation(), before);
    zone.lock(PID).confirm_target(TargetId(7));
    assert_eq!(zone.lock(PID).targets(), [target(7)]);
    assert_eq!(zone.lock(PID).target(TargetId(7)), Some(target(7)));
    assert!(zone.targets_generation() > before);
    // Neither twice, nor taken back.
    let confirmed = zone.targets_generation();
    zone.lock(PID).confirm_target(TargetId(7));
    zone.lock(PID).forget_target(TargetId(7));
    assert_eq!((ids(&zone), zone.targets_generation()), (vec![7], confirmed));
}

#[test]
fn a_target_that_was_not_written_is_forgotten() {
    let heap = heap();
    let zone = heap.zone();
    let before = zone.targets_generation();
    zone.lock(PID).pend_target(&target(1), PID).unwrap();
    zone.lock(PID).forget_target(TargetId(1));
    zone.lock(PID).confirm_target(TargetId(1));
    assert_eq!((ids(&zone), used(&zone), zone.targets_generation()), (vec![], 0, before));
    // And so when its worker died meanwhile, or was there before under the same process id.
    for dead in [10, 11] {
        register(&zone, dead);
        zone.lock(dead).pend_target(&target(2), dead).unwrap();
    }
    zone.lock(PID).reclaim(NOW, |pid| pid != 10);
    assert!(used(&zone) > 0);
    register(&zone, 11);
    assert_eq!(used(&zone), 0);
}

#[test]
fn a_change_is_of_the_whole_target() {
    let heap = heap();
    let zone = heap.zone();
    (1..=3).for_each(|id| add_target(&zone, &target(id)));
    let changes = [
        Target { enabled: false, ..target(2) },
        Target { note: "n".repeat(200), enabled: false, ..target(2) },
        with_url(2, "other"),
        // As long as the one before.
        with_url(2, "third"),
        target(2),
    ];
    let before = used(&zone);
    for change in changes {
        let generation = zone.targets_generation();
        assert_eq!(zone.lock(PID).replace_target(&change), Ok(true));
        assert_eq!(zone.lock(PID).targets(), [target(1), change.clone(), target(3)]);
        assert_eq!(zone.lock(PID).target(TargetId(2)), Some(change));
        assert!(zone.targets_generation() > generation);
    }
    assert_eq!(used(&zone), before);
    assert_eq!(zone.lock(PID).replace_target(&target(9)), Ok(false));
    let generation = zone.targets_generation();
    assert!(zone.lock(PID).remove_target(TargetId(2)) && zone.targets_generation() > generation);
    assert!(!zone.lock(PID).remove_target(TargetId(2)));
    assert_eq!(ids(&zone), [1, 3]);
}

#[test]
fn the_longest_texts_come_back_whole() {
    let heap = heap();
    let zone = heap.zone();
    let url =
        format!("rtmps://{}:{}@[2001:db8::1]:65535/{}", "u".repeat(250), "p".repeat(250), "a".repeat(100));
    let url = format!("{url}/{}", "k".repeat(255));
    let long = Target {
        id: TargetId(u64::MAX),
        app: "a".repeat(128).parse().unwrap(),
        stream: "s".repeat(128).parse().unwrap(),
        server: None,
        url: url.parse().unwrap(),
        enabled: false,
        note: "é".repeat(100),
        source: TargetSource::Api,
    };
    add_target(&zone, &long);
    let any = Target { stream: "*".parse().unwrap(), ..target(0) };
    add_target(&zone, &any);
    let [first, second] = zone.lock(PID).targets().try_into().unwrap();
    assert_eq!((&first, first.url.expose()), (&long, url.as_str()));
    assert_eq!(second, any);
}

/// Every length of text from one block to the next, so that no boundary cuts a byte.
#[test]
fn every_length_comes_back() {
    let heap = heap();
    let zone = heap.zone();
    for len in 1..=250 {
        let server = (len % 2 == 0).then(|| "1935".parse().unwrap());
        let long = Target { note: "n".repeat(len.min(200)), server, ..with_url(1, &"k".repeat(len)) };
        add_target(&zone, &long);
        assert_eq!(zone.lock(PID).targets(), [long], "{len}");
        zone.lock(PID).remove_target(TargetId(1));
        assert_eq!(used(&zone), 0);
    }
}

#[test]
fn no_url_outlives_its_target() {
    let heap = heap();
    let zone = heap.zone();
    add_target(&zone, &with_url(1, &"secret".repeat(40)));
    zone.lock(PID).replace_target(&with_url(1, "short")).unwrap();
    zone.lock(PID).remove_target(TargetId(1));
    add_target(&zone, &with_url(1, "x"));
    let [one] = zone.lock(PID).targets().try_into().unwrap();
    assert_eq!(one.url.expose(), "rtmp://a.example/live/x");
}

#[test]
fn the_file_is_right() {
    let heap = heap();
    let zone = heap.zone();
    (1..=4).for_each(|id| add_target(&zone, &target(id)));
    zone.lock(PID).pend_target(&target(8), PID).unwrap();
    let before = zone.targets_generation();
    let wanted = [target(1), with_url(3, "other"), target(9), target(5)];
    zone.lock(PID).adopt(&[], &wanted, &shown(1)).unwrap();
    assert_eq!(ids(&zone), [1, 3, 9, 5]);
    assert_eq!(zone.lock(PID).targets(), wanted);
    // What is in line already is no change; what is pending is another's.
    let generation = zone.targets_generation();
    assert!(generation > before);
    zone.lock(PID).adopt(&[], &wanted, &shown(1)).unwrap();
    assert_eq!(zone.targets_generation(), generation);
    zone.lock(PID).confirm_target(TargetId(8));
    assert_eq!(ids(&zone).len(), 5);
    zone.lock(PID).adopt(&[], &[], &shown(2)).unwrap();
    assert_eq!((ids(&zone), used(&zone)), (vec![], 0));
}

#[test]
fn a_full_zone_refuses_targets_and_can_switch_them_off() {
    let heap = heap();
    let zone = heap.zone();
    let fits = |id: &u64| zone.lock(PID).pend_target(&target(*id), PID).is_ok();
    let count = (1..).take_while(fits).count() as u64;
    (1..=count).for_each(|id| zone.lock(PID).confirm_target(TargetId(id)));
    let (full, generation) = (used(&zone), zone.targets_generation());
    let more: Vec<_> = (1..=count + 1).map(target).collect();
    let targets = more.len();
    assert_eq!(zone.lock(PID).adopt(&[], &more, &shown(1)), Err(Misfit::Targets { keys: 0, targets }));
    assert_eq!((ids(&zone).len() as u64, used(&zone), zone.targets_generation()), (count, full, generation));
    let off = Target { enabled: false, ..target(1) };
    assert_eq!(zone.lock(PID).replace_target(&off), Ok(true));
    // A change is already in the file when it comes here: it has what is kept free.
    let noted = Target { note: "n".repeat(200), ..off };
    assert_eq!(zone.lock(PID).replace_target(&noted), Ok(true));
    assert_eq!(zone.lock(PID).target(TargetId(1)), Some(noted));
    // It refuses keys as well.
    let record = weir_zone::KeyRecord::of(&key(1), weir_zone::Stage::Valid).next().unwrap();
    assert_eq!(zone.lock(PID).insert_key(&record), Err(ZoneFull));
}

/// With 4,000 keys beside them.
#[test]
fn a_megabyte_holds_a_thousand_targets() {
    let heap = Heap::new(1 << 20, super::capacity::MEGABYTE).unwrap();
    let zone = heap.zone();
    let with_usual_url = |id| {
        let key = format!("{id:04}-abcd-efgh-ijkl-mnop?backup=1&session={}", "x".repeat(20));
        Target { url: format!("rtmps://a.rtmp.example.com:443/live2/{key}").parse().unwrap(), ..target(id) }
    };
    (1..=1000).for_each(|id| add_target(&zone, &with_usual_url(id)));
    assert_eq!(zone.lock(PID).targets().len(), 1000);
    assert_eq!(used(&zone) * 128, 256_000);
    (1..=4000).for_each(|id| insert(&zone, &key(id), weir_zone::Stage::Valid));
}
