use weir_media::piece::Stamp;

use super::*;
use crate::config::pattern::NamePattern;
use crate::config::record::{Format, Template};

fn writer(folder: &Path, change: impl FnOnce(&mut Record)) -> (Writer, Arc<Index>, Arc<Bus>) {
    let mut rule = Record {
        app: "live".parse().unwrap(),
        stream: NamePattern::Prefix(String::new()),
        format: Format::Mp4,
        folder: folder.into(),
        name: Template::default(),
        split: None,
        split_size: None,
        playlist: false,
        keep: None,
        keep_size: None,
        min_free: 0,
        upload: None,
        delete_uploaded: false,
    };
    change(&mut rule);
    let live = Live {
        app: "live".parse().unwrap(),
        name: "show".parse().unwrap(),
        session: "s1".into(),
        slate: false,
        video: None,
        audio: None,
    };
    let index = Arc::new(Index::open(folder).unwrap().0);
    let bus = Bus::new(1);
    (Writer::new(rule, live, index.clone(), bus.clone()), index, bus)
}

/// Returns a part of four bytes: its time.
fn part(millis: u32, key: bool) -> Piece {
    let stamps = vec![Stamp { at: 0, width: 4, per_second: 1000 }];
    let start = Duration::from_millis(millis.into());
    Piece::Part(Part { bytes: millis.to_be_bytes().to_vec(), key, start, stamps })
}

/// Returns the times in each file, the oldest file first.
fn files(folder: &Path, index: &Index) -> Vec<Vec<u32>> {
    let times = |entry: &Entry| {
        let bytes = fs::read(folder.join(&entry.file)).unwrap();
        assert_eq!(&bytes[..4], b"head");
        bytes[4..].chunks(4).map(|time| u32::from_be_bytes(time.try_into().unwrap())).collect()
    };
    index.entries().iter().map(|(_, entry)| times(entry)).collect()
}

fn told(bus: &Bus) -> Vec<String> {
    bus.listen(Some(999)).events.iter().map(|event| event.kind.clone()).collect()
}

#[test]
fn files_begin_with_key_frames_and_at_time_zero() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, index, bus) = writer(folder.path(), |rule| rule.split = Some(Duration::from_secs(2)));
    writer.take(Piece::Head(b"head".to_vec()));
    for (millis, key) in [
        (9000, false),
        (10_000, true),
        (11_000, false),
        (12_500, false),
        (13_000, true),
        (14_000, true),
        (15_000, true),
    ] {
        writer.take(part(millis, key));
    }
    writer.finish();
    assert_eq!(files(folder.path(), &index), [vec![0, 1000, 2500], vec![0, 1000], vec![0]]);
    assert!(index.entries().iter().all(|(_, entry)| entry.ended.is_some() && entry.bytes >= 8));
    assert_eq!(told(&bus)[1..3], ["recording.finished", "recording.started"]);
}

#[test]
fn files_are_split_by_size_and_by_each_run_of_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, index, _) = writer(folder.path(), |rule| rule.split_size = Some(12));
    writer.take(Piece::Head(b"head".to_vec()));
    for millis in [0, 1000, 2000] {
        writer.take(part(millis, true));
    }
    writer.take(Piece::Head(b"head".to_vec()));
    writer.take(part(500, true));
    drop(writer);
    assert_eq!(files(folder.path(), &index), [vec![0, 1000], vec![0], vec![0]]);
}

#[test]
fn too_little_space_stops_the_recording_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, index, bus) = writer(folder.path(), |rule| rule.min_free = u64::MAX / 4);
    writer.take(Piece::Head(b"head".to_vec()));
    for millis in [0, 1000, 2000] {
        writer.take(part(millis, true));
    }
    assert_eq!((told(&bus), index.entries().len()), (vec!["recording.stopped".to_owned()], 0));
    writer.rule.min_free = 0;
    writer.take(part(3000, true));
    assert_eq!(told(&bus)[1..], ["recording.started", "recording.resumed"]);
    assert_eq!(files(folder.path(), &index), [vec![0]]);
}
