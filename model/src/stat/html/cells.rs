//! Formats the cells of a table, with numbers for people.

use crate::media::{AudioFacts, Fps, VideoFacts};
use crate::stat::text::{push_escaped, push_number, push_tenths};

/// Appends a cell of a table. Its label is shown where the table becomes cards.
pub(super) fn push_cell(out: &mut String, label: &str, content: impl FnOnce(&mut String)) {
    for part in ["<td data-label=\"", label, "\">"] {
        out.push_str(part);
    }
    content(out);
    out.push_str("</td>");
}

/// Appends a number and the unit, if the unit has a name.
pub(super) fn push_count(out: &mut String, count: u64, one: &str, many: &str) {
    push_number(out, count);
    let name = if count == 1 { one } else { many };
    if !name.is_empty() {
        out.push(' ');
        out.push_str(name);
    }
}

/// Appends bits per second: `2.5 Mbit/s`.
pub(super) fn push_rate(out: &mut String, bits: u64) {
    push_scaled(out, bits, "bit/s");
}

/// Appends bytes: `1.2 GB`.
pub(super) fn push_bytes(out: &mut String, bytes: u64) {
    push_scaled(out, bytes, "B");
}

/// One decimal and a decimal prefix, rounded down.
fn push_scaled(out: &mut String, amount: u64, unit: &str) {
    const PREFIXES: [&str; 6] = [" k", " M", " G", " T", " P", " E"];
    let mut scale = 1;
    let mut prefix = " ";
    for larger in PREFIXES {
        if amount / scale < 1000 {
            break;
        }
        scale *= 1000;
        prefix = larger;
    }
    if scale == 1 {
        push_number(out, amount);
    } else {
        push_tenths(out, amount / (scale / 10));
    }
    out.push_str(prefix);
    out.push_str(unit);
}

/// Appends a time: `12s`, `5m 03s`, `2h 05m`, `3d 04h`.
pub(super) fn push_duration(out: &mut String, millis: u64) {
    let seconds = millis / 1000;
    let (large, large_unit, small, small_unit) = match seconds {
        0..60 => return push_unit(out, seconds, 's'),
        60..3600 => (seconds / 60, 'm', seconds % 60, 's'),
        3600..86_400 => (seconds / 3600, 'h', seconds / 60 % 60, 'm'),
        _ => (seconds / 86_400, 'd', seconds / 3600 % 24, 'h'),
    };
    push_unit(out, large, large_unit);
    out.push_str(if small < 10 { " 0" } else { " " });
    push_unit(out, small, small_unit);
}

fn push_unit(out: &mut String, number: u64, unit: char) {
    push_number(out, number);
    out.push(unit);
}

/// Appends a bar for the share of the part in the whole.
pub(super) fn push_bar(out: &mut String, part: u64, whole: u64) {
    let percent = (u128::from(part) * 100).div_ceil(u128::from(whole.max(1))).min(100);
    out.push_str(concat!(
        "<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        "<rect class=\"all\" width=\"100\" height=\"4\"/><rect height=\"4\" width=\""
    ));
    // At most 100.
    push_number(out, percent as u64);
    out.push_str("\"/></svg>");
}

/// Appends `1280x720 29.97 fps H264 High 4.1`, without unknown parts.
pub(super) fn push_video(out: &mut String, video: Option<&VideoFacts>) {
    let Some(video) = video else { return out.push('-') };
    let mut words = Words::new(out);
    if video.width != 0 && video.height != 0 {
        let out = words.next();
        push_number(out, video.width.into());
        out.push('x');
        push_number(out, video.height.into());
    }
    if video.fps_milli != 0 {
        push_escaped(words.next(), &Fps(video.fps_milli).to_string());
        words.next().push_str("fps");
    }
    words.push(video.codec());
    words.push(video.profile());
    words.push(&video.level());
    words.end();
}

/// Appends `AAC LC 48 kHz 2 ch`, without unknown parts.
pub(super) fn push_audio(out: &mut String, audio: Option<&AudioFacts>) {
    let Some(audio) = audio else { return out.push('-') };
    let mut words = Words::new(out);
    words.push(audio.codec());
    words.push(audio.profile());
    if audio.sample_rate != 0 {
        push_tenths(words.next(), u64::from(audio.sample_rate) / 100);
        words.next().push_str("kHz");
    }
    if audio.channels != 0 {
        push_number(words.next(), audio.channels.into());
        words.next().push_str("ch");
    }
    words.end();
}

/// Words with a space between them, or a dash for none.
struct Words<'a> {
    out: &'a mut String,
    any: bool,
}

impl<'a> Words<'a> {
    fn new(out: &'a mut String) -> Words<'a> {
        Words { out, any: false }
    }

    /// Where the next word goes.
    fn next(&mut self) -> &mut String {
        if self.any {
            self.out.push(' ');
        }
        self.any = true;
        self.out
    }

    fn push(&mut self, word: &str) {
        if !word.is_empty() {
            push_escaped(self.next(), word);
        }
    }

    fn end(self) {
        if !self.any {
            self.out.push('-');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn amounts_have_a_prefix_and_one_decimal() {
        for (bits, text) in [
            (0, "0 bit/s"),
            (999, "999 bit/s"),
            (1000, "1 kbit/s"),
            (2_549_999, "2.5 Mbit/s"),
            (999_999, "999.9 kbit/s"),
            (u64::MAX, "18.4 Ebit/s"),
        ] {
            assert_eq!(written(|out| push_rate(out, bits)), text);
        }
        assert_eq!(written(|out| push_bytes(out, 8_388_608)), "8.3 MB");
    }

    #[test]
    fn a_duration_has_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m 00s"), (303, "5m 03s"), (7500, "2h 05m"), (273_600, "3d 04h")]
        {
            assert_eq!(written(|out| push_duration(out, seconds * 1000 + 999)), text);
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        for (part, whole, percent) in
            [(0, 0, 0), (0, 9, 0), (1, 1000, 1), (1, 2, 50), (9, 9, 100), (9, 0, 100), (u64::MAX, 1, 100)]
        {
            let bar = written(|out| push_bar(out, part, whole));
            assert!(bar.contains(&format!("width=\"{percent}\"/></svg>")), "{part} of {whole}: {bar}");
        }
    }

    #[test]
    fn codecs_are_named_without_what_is_unknown() {
        let video = VideoFacts {
            codec_id: 7,
            profile: 100,
            level: 41,
            compat: 0,
            width: 1280,
            height: 720,
            fps_milli: 30_000,
        };
        assert_eq!(written(|out| push_video(out, Some(&video))), "1280x720 30 fps H264 High 4.1");
        assert_eq!(written(|out| push_video(out, Some(&VideoFacts::default()))), "-");
        assert_eq!(written(|out| push_video(out, None)), "-");
        let audio = AudioFacts { codec_id: 10, aac_profile: 2, channels: 2, sample_rate: 48_000 };
        assert_eq!(written(|out| push_audio(out, Some(&audio))), "AAC LC 48 kHz 2 ch");
        let audio = AudioFacts { codec_id: 2, sample_rate: 44_100, ..AudioFacts::default() };
        assert_eq!(written(|out| push_audio(out, Some(&audio))), "MP3 44.1 kHz");
        assert_eq!(written(|out| push_audio(out, None)), "-");
    }
}
