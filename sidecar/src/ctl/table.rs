//! Aligned columns, and what stands in them.

use weir_model::Timestamp;

/// Columns as wide as their widest cell, two spaces between; nothing behind the last.
///
/// Control characters are shown as `?`, so that nothing from afar can move a terminal's cursor.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(String::from))
        .chain(rows.iter().cloned())
        .map(|row| row.map(plain))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn plain(cell: String) -> String {
    if cell.is_empty() {
        return "-".into();
    }
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// How long ago, in the two largest units: `42s`, `3m12s`, `2h05m`, `3d04h`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let s = now.millis_since(since) / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
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
        assert_eq!(table(["NOTE"], &[["a\u{1b}[2J\nb\u{9b}".into()]]), "NOTE\na?[2J?b?\n");
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
