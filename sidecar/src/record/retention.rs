//! Decides which recordings are removed.

use weir_model::Timestamp;

use super::index::Entry;
use crate::config::record::Record;

/// Returns the files of one rule that are too old or exceed the size, the oldest first. Files that are being written, and files that must
/// still be uploaded, stay.
pub(crate) fn surplus(rule: &Record, entries: &[(u64, Entry)], now: Timestamp) -> Vec<u64> {
    let mut total: u64 = entries.iter().map(|(_, entry)| entry.bytes).sum();
    let mut gone = Vec::new();
    for (number, entry) in entries {
        let Some(ended) = entry.ended else { continue };
        let uploaded = entry.upload.as_ref().is_none_or(|transfer| transfer.done.is_some());
        if !uploaded {
            continue;
        }
        let moved = rule.delete_uploaded && entry.upload.is_some();
        let old = rule.keep.is_some_and(|keep| u128::from(now.millis_since(ended)) > keep.as_millis());
        if moved || old || rule.keep_size.is_some_and(|most| total > most) {
            total = total.saturating_sub(entry.bytes);
            gone.push(*number);
        }
    }
    gone
}

/// Returns whether the rule applies to a file.
pub(crate) fn is_of(rule: &Record, entry: &Entry) -> bool {
    rule.app.as_str() == entry.app && rule.stream.fits(&entry.stream)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::transfer::Transfer;

    fn rule(keep: Option<u64>, keep_size: Option<u64>, delete_uploaded: bool) -> Record {
        Record {
            app: "live".parse().unwrap(),
            stream: crate::config::pattern::NamePattern::Prefix(String::new()),
            format: crate::config::record::Format::Mp4,
            folder: "/r".into(),
            name: crate::config::record::Template::default(),
            split: None,
            split_size: None,
            playlist: false,
            keep: keep.map(Duration::from_secs),
            keep_size,
            min_free: 0,
            upload: None,
            delete_uploaded,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }

    /// Returns a file of 10 bytes that ended after so many seconds.
    fn file(number: u64, ended: Option<u64>, upload: Option<bool>) -> (u64, Entry) {
        let transfer =
            |done: bool| Transfer { done: done.then(|| at(0)), ..Transfer::new("s3", "k".into(), 5) };
        let entry = Entry {
            file: format!("{number}.mp4").into(),
            app: "live".into(),
            stream: "show".into(),
            session: "s1".into(),
            started: at(0),
            ended: ended.map(at),
            bytes: 10,
            duration_ms: None,
            upload: upload.map(transfer),
        };
        (number, entry)
    }

    #[test]
    fn the_oldest_go_when_they_are_too_old_or_too_many() {
        let files =
            [file(1, Some(10), None), file(2, Some(20), None), file(3, Some(30), None), file(4, None, None)];
        for (rule, expected) in [
            (rule(None, None, false), vec![]),
            (rule(Some(15), None, false), vec![1, 2]),
            (rule(None, Some(25), false), vec![1, 2]),
            (rule(None, Some(40), false), vec![]),
            // A file that is being written always stays.
            (rule(None, Some(1), false), vec![1, 2, 3]),
            (rule(Some(25), Some(25), false), vec![1, 2]),
        ] {
            assert_eq!(surplus(&rule, &files, at(40)), expected, "{rule:?}");
        }
    }

    #[test]
    fn what_is_to_be_uploaded_stays_until_it_is() {
        let files = [file(1, Some(10), Some(false)), file(2, Some(20), Some(true)), file(3, Some(30), None)];
        assert_eq!(surplus(&rule(Some(5), None, false), &files, at(100)), [2, 3]);
        assert_eq!(surplus(&rule(None, None, true), &files, at(100)), [2]);
        assert_eq!(surplus(&rule(None, None, false), &files, at(100)), [] as [u64; 0]);
    }
}
