//! Aligned tables, and formats for their cells.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use weir_model::{Timestamp, VideoFacts};

/// Returns a table with columns as wide as their widest cell, separated by two spaces, without trailing spaces.
///
/// `text::clean` replaces control characters, so that no remote text can move the terminal's cursor.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    sparse_table(head, rows, &[])
}

/// Returns the same table without those columns of `optional` that are empty.
pub(super) fn sparse_table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    optional: &[usize],
) -> String {
    let is_shown = |at: &usize| !optional.contains(at) || rows.iter().any(|row| !row[*at].is_empty());
    let columns: Vec<usize> = (0..N).filter(is_shown).collect();
    let row = |cells: &[String; N]| columns.iter().map(|at| plain(cells[*at].clone())).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&head.map(String::from)).chain(rows).map(row).collect();
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Returns a text without control characters; `-` for an empty text.
pub(super) fn plain(cell: String) -> String {
    if cell.is_empty() {
        return "-".into();
    }
    weir_model::text::clean(&cell).into_owned()
}

/// Returns a name in a form that `weir stream drop` accepts: a name with control characters is percent-encoded, an empty name
/// becomes a pair of quotes.
pub(super) fn quoted(name: &str) -> String {
    const CODED: &AsciiSet = &CONTROLS.add(b'%');
    match name {
        "" => "\"\"".to_owned(),
        name if name.chars().any(char::is_control) => {
            let coded = |c: char| match c {
                c if c.is_ascii() || c.is_control() => utf8_percent_encode(&c.to_string(), CODED).to_string(),
                c => c.to_string(),
            };
            name.chars().map(coded).collect()
        }
        name => name.to_owned(),
    }
}

/// Reverses [`quoted`].
pub(super) fn unquoted(shown: &str) -> String {
    match shown {
        "\"\"" => String::new(),
        shown => percent_decode_str(shown).decode_utf8_lossy().into_owned(),
    }
}

/// Formats an age in the two largest units: `42s`, `3m12s`, `2h05m`, `3d04h`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let s = now.millis_since(since) / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// Formats bits per second with about three digits: `0`, `850`, `128k`, `2.5M`, `12.0M`, `1.2G`.
pub(super) fn rate(bits: u64) -> String {
    let tenths = |unit: u64| bits.saturating_add(unit / 20) / (unit / 10);
    match bits {
        0..1_000 => bits.to_string(),
        1_000..999_500 => format!("{}k", (bits + 500) / 1_000),
        999_500..999_950_000 => format!("{}.{}M", tenths(1_000_000) / 10, tenths(1_000_000) % 10),
        _ => format!("{}.{}G", tenths(1_000_000_000) / 10, tenths(1_000_000_000) % 10),
    }
}

/// Returns codec and size, such as `H264 1280x720`; an empty text if neither is known.
pub(super) fn video(video: Option<&VideoFacts>) -> String {
    let Some(video) = video else { return String::new() };
    let size = if video.width > 0 { format!("{}x{}", video.width, video.height) } else { String::new() };
    format!("{} {size}", video.codec()).trim().into()
}

/// Formats frames per second: rounded if nearly a whole number, because measurements vary; an empty text if unknown.
pub(super) fn frame_rate(video: Option<&VideoFacts>) -> String {
    let fps = video.map_or(0.0, |video| video.fps().per_second());
    match fps {
        _ if fps <= 0.0 => String::new(),
        _ if (fps - fps.round()).abs() < 0.2 => format!("{fps:.0}"),
        _ => format!("{fps:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_end_cleanly() {
        let rows = [["live".into(), "show".into(), String::new()], ["a".into(), "übung".into(), "x".into()]];
        assert_eq!(
            table(["APP", "STREAM", "NOTE"], &rows),
            "APP   STREAM  NOTE\nlive  show    -\na     übung   x\n"
        );
        assert_eq!(table(["APP"], &[]), "APP\n");
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(table(["NOTE"], &[["a\u{1b}[2J\nb\u{9b}".into()]]), "NOTE\na\u{fffd}[2J b\u{fffd}\n");
    }

    #[test]
    fn a_column_without_cells_can_be_left_out() {
        let rows = [["a".into(), String::new(), "1".into()], ["b".into(), String::new(), String::new()]];
        assert_eq!(sparse_table(["A", "B", "C"], &rows, &[1, 2]), "A  C\na  1\nb  -\n");
    }

    #[test]
    fn every_name_is_read_back() {
        for (name, shown) in [
            ("", "\"\""),
            ("a b", "a b"),
            ("直播间", "直播间"),
            ("TEST%20STREAM", "TEST%20STREAM"),
            ("a\tb%", "a%09b%25"),
            ("\u{85}é", "%C2%85é"),
        ] {
            assert_eq!(quoted(name), shown);
            assert!(name.contains('%') && !name.contains('\t') || unquoted(shown) == name, "{shown}");
        }
    }

    #[test]
    fn rates() {
        for (bits, text) in [
            (0, "0"),
            (999, "999"),
            (1_499, "1k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (2_549_999, "2.5M"),
            (999_949_999, "999.9M"),
            (999_950_000, "1.0G"),
            (u64::MAX, "18446744073.7G"),
        ] {
            assert_eq!(rate(bits), text);
        }
    }

    #[test]
    fn pictures() {
        let h264 =
            VideoFacts { codec_id: 7, width: 1280, height: 720, fps_milli: 29_970, ..Default::default() };
        assert_eq!((video(Some(&h264)), frame_rate(Some(&h264))), ("H264 1280x720".into(), "30".into()));
        let measured = VideoFacts { width: 0, fps_milli: 12_500, ..h264 };
        assert_eq!((video(Some(&measured)), frame_rate(Some(&measured))), ("H264".into(), "12.5".into()));
        assert_eq!((video(None), frame_rate(None)), (String::new(), String::new()));
    }

    #[test]
    fn ages() {
        let start: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m00s"), (3_599, "59m59s"), (7_500, "2h05m"), (273_600, "3d04h")]
        {
            assert_eq!(age(start, start.plus_seconds(seconds)), text);
        }
        assert_eq!(age(start.plus_seconds(5), start), "0s");
    }
}
