use tokio::time::advance;
use weir_media::live::{Fragment, Init, Layout};

use super::*;
use crate::live::clocks::Clocks;

fn init() -> Output {
    Output::Init(Init {
        bytes: b"init".to_vec(),
        codecs: "avc1.64001f".into(),
        size: None,
        has_video: true,
        has_audio: false,
        breaks: false,
        video: None,
        audio: None,
    })
}

/// Returns a frame; there is one per 40 ms, and a keyframe every two seconds.
fn frame(n: i64) -> Output {
    Output::Fragment(Fragment {
        bytes: vec![0; 10],
        is_key: n % 50 == 0,
        start: n * 40,
        duration: 40,
        has_picture: true,
        layout: Layout::default(),
    })
}

fn station() -> Arc<Station> {
    Station::new(("live".parse().unwrap(), "show".parse().unwrap()))
}

/// Puts frames in real time.
async fn play(station: &Station, frames: std::ops::Range<i64>) {
    for n in frames {
        advance(Duration::from_millis(40)).await;
        station.put(vec![frame(n)]);
    }
}

/// Returns how long ago the first segment began, according to its date, in milliseconds.
fn age(station: &Station) -> u64 {
    let hls = station.hls();
    let text = hls.as_ref().unwrap().playlist(false, false);
    let date = text.split("PROGRAM-DATE-TIME:").nth(1).unwrap().lines().next().unwrap();
    clock::now().millis_since(date.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_date_is_that_of_the_arrival_even_if_nobody_has_asked_then() {
    let station = station();
    station.put(vec![init()]);
    play(&station, 0..49).await;
    station.touch();
    assert!((1900..2200).contains(&age(&station)), "{}", age(&station));
}

#[tokio::test(start_paused = true)]
async fn media_that_has_waited_elsewhere_has_the_date_of_its_beginning() {
    let station = station();
    station.touch();
    station.put(std::iter::once(init()).chain((0..49).map(frame)).collect());
    assert!((1900..2200).contains(&age(&station)), "{}", age(&station));
}

#[tokio::test(start_paused = true)]
async fn segments_that_nobody_asks_for_are_dropped_and_later_ones_have_larger_numbers() {
    let station = station();
    station.put(vec![init()]);
    station.touch();
    play(&station, 0..100).await;
    let (before, _) = station.newest_part().unwrap();
    play(&station, 100..1600).await;
    assert_eq!(station.newest_part(), None);
    station.touch();
    play(&station, 1600..1700).await;
    assert!(station.newest_part().unwrap().0 >= before);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_keeps_the_station() {
    let station = station();
    station.touch();
    let waits = station.look(Duration::from_secs(12), |_, _| None::<()>);
    tokio::pin!(waits);
    assert!(tokio::time::timeout(Duration::from_secs(11), &mut waits).await.is_err());
    assert_eq!(station.idle(), None);
    assert_eq!(waits.await, None);
    assert!(station.idle().is_some_and(|idle| idle < Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_counted_stays_counted_and_one_that_is_gone_is_not() {
    let station = station();
    for _ in 0..30 {
        station.ask(1);
        advance(Duration::from_millis(900)).await;
    }
    station.ask(2);
    assert_eq!(station.counts().llhls, 2);
    advance(PRESENT).await;
    station.ask(3);
    assert_eq!((station.counts().llhls, locked(&station.asked).clients.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rendition_that_is_asked_for_later_has_the_same_discontinuity_numbers_and_dates() {
    let clocks = Arc::new(Clocks::default());
    let timeline = |session: &str| Timeline {
        clocks: clocks.clone(),
        id: ("live".parse().unwrap(), "show".parse().unwrap()),
        session: session.into(),
    };
    let (source, rendition) = (station(), station());
    source.follow(timeline("first"));
    source.touch();
    source.put(vec![init()]);
    play(&source, 0..100).await;
    source.publisher_gone();
    source.follow(timeline("second"));
    source.put(vec![init()]);
    play(&source, 100..200).await;
    rendition.follow(timeline("second"));
    rendition.put(vec![init()]);
    // It comes seconds later.
    play(&rendition, 100..200).await;
    rendition.touch();
    let text = |station: &Station| station.hls().as_ref().unwrap().playlist(false, false);
    let (all, late) = (text(&source), text(&rendition));
    let (before, after) = all.split_once("#EXT-X-DISCONTINUITY\n").expect("a discontinuity");
    assert!(!before.contains("DISCONTINUITY-SEQUENCE"), "{before}");
    assert!(late.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{late}");
    let date = late.lines().find(|line| line.starts_with("#EXT-X-PROGRAM-DATE-TIME:")).unwrap();
    assert!(after.contains(date), "{after}\n{late}");
}
