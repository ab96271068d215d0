//! DASH (ISO/IEC 23009-1): the same segments, with one period per run of ffmpeg.

use std::fmt::Write;

use weir_model::Timestamp;

use super::{Presentation, Role, Run, Segment, Track};
use crate::cmaf::TrackKind;

/// Returns the manifest.
pub fn manifest(presentation: &Presentation, now: Timestamp) -> String {
    let segment = presentation.segment.as_secs_f64();
    let mut text =
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
        profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"dynamic\""
            .to_owned();
    let _ = write!(text, " availabilityStartTime=\"{}\" publishTime=\"{now}\"", presentation.since);
    if presentation.ended {
        let _ = write!(text, " mediaPresentationDuration=\"PT{:.3}S\"", end(presentation));
    } else {
        let _ = write!(text, " minimumUpdatePeriod=\"PT{segment:.1}S\"");
    }
    let _ = writeln!(
        text,
        " timeShiftBufferDepth=\"PT{:.1}S\" suggestedPresentationDelay=\"PT{:.1}S\" minBufferTime=\"PT{segment:.1}S\">",
        presentation.window.as_secs_f64(),
        segment * 3.0
    );
    for run in &presentation.runs {
        period(&mut text, presentation, run);
    }
    text.push_str("</MPD>\n");
    text
}

/// Returns the end of the last segment, in seconds from the beginning.
fn end(presentation: &Presentation) -> f64 {
    let last = presentation.tracks.iter().filter_map(|track| track.segments.back());
    last.map(|segment| segment.at.millis_since(presentation.since) as f64 / 1000.0 + segment.seconds)
        .fold(0.0, f64::max)
}

fn period(text: &mut String, presentation: &Presentation, run: &Run) {
    let start = run.at.millis_since(presentation.since) as f64 / 1000.0;
    let _ = writeln!(text, "  <Period id=\"{}\" start=\"PT{start:.3}S\">", run.id);
    let of_run = |wanted: fn(Role) -> bool| {
        let tracks = presentation.playable().filter(move |track| wanted(track.role));
        tracks.filter(|track| track.segments.iter().any(|segment| segment.run == run.id)).collect::<Vec<_>>()
    };
    let video = of_run(|role| role == Role::Video);
    let audio = of_run(|role| role != Role::Video);
    for (id, kind, tracks) in [(1, "video", video), (2, "audio", audio)] {
        if tracks.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "    <AdaptationSet id=\"{id}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">"
        );
        for track in tracks {
            representation(text, track, run);
        }
        text.push_str("    </AdaptationSet>\n");
    }
    text.push_str("  </Period>\n");
}

fn representation(text: &mut String, track: &Track, run: &Run) {
    let Some(init) = &track.init else { return };
    let shape = match init.kind {
        TrackKind::Video { width, height } => {
            format!(
                "width=\"{width}\" height=\"{height}\" frameRate=\"{}/1000\"",
                (track.frame_rate * 1000.0).round()
            )
        }
        TrackKind::Audio { sample_rate, .. } => format!("audioSamplingRate=\"{sample_rate}\""),
    };
    let segments: Vec<&Segment> = track.segments.iter().filter(|segment| segment.run == run.id).collect();
    let first = segments.first().map_or(0, |segment| segment.number);
    let offset = (run.origin * f64::from(init.timescale)).round() as u64;
    let _ = writeln!(
        text,
        "      <Representation id=\"{name}\" codecs=\"{}\" bandwidth=\"{}\" {shape}>\n        <SegmentTemplate timescale=\"{}\" \
         presentationTimeOffset=\"{offset}\" startNumber=\"{first}\" initialization=\"{name}/init-{}.mp4\" media=\"{name}/$Number$.m4s\">\n          <SegmentTimeline>",
        init.codec,
        track.bandwidth(),
        init.timescale,
        run.id,
        name = track.name
    );
    for segment in segments {
        let _ = writeln!(text, "            <S t=\"{}\" d=\"{}\"/>", segment.start, segment.duration);
    }
    text.push_str("          </SegmentTimeline>\n        </SegmentTemplate>\n      </Representation>\n");
}
