//! Captions of a stream (CEA-608 in its H.264 video) appear on the watch page: the page offers them with every transport, and plays HLS
//! while it shows them.

use std::sync::atomic::{AtomicUsize, Ordering};

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::{ask, open, publish};

const TEXT: &str = "WEIR SHOWS CAPTIONS ";

/// Returns the byte with odd parity (CEA-608, 5.1).
fn odd(byte: u8) -> u8 {
    if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte }
}

/// Returns the pairs of bytes that roll up one line of text: two rows, new line, row 15, the text, and fill (CEA-608, 6). The sample has 40
/// frames, one pair per frame.
fn line() -> Vec<[u8; 2]> {
    let mut pairs = vec![[0x14, 0x25], [0x14, 0x25], [0x14, 0x2d], [0x14, 0x2d], [0x14, 0x70], [0x14, 0x70]];
    pairs.extend(TEXT.as_bytes().as_chunks::<2>().0);
    pairs.resize(40, [0, 0]);
    pairs
}

/// Puts a pair of caption bytes before the slices of a tag, as ATSC A/53 part 4 defines.
fn with_captions(mut tag: Tag, pair: [u8; 2]) -> Tag {
    let is_picture = tag.kind == TagKind::Video && tag.payload.starts_with(&[tag.payload[0] & 0xf0 | 7, 1]);
    if is_picture {
        let data = [0xc1, 0xff, 0xfc, odd(pair[0]), odd(pair[1]), 0xff];
        let message = [&[0xb5, 0, 0x31][..], b"GA94", &[3], &data].concat();
        let unit = [&[6, 4, message.len() as u8][..], &message, &[0x80]].concat();
        let unit = [&(unit.len() as u32).to_be_bytes()[..], &unit].concat();
        tag.payload.splice(5..5, unit);
    }
    tag
}

#[test]
fn captions_are_offered_and_shown() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let (pairs, nth) = (line(), AtomicUsize::new(0));
    let captioned = Publisher::to(nginx.rtmp(), "live/show").edited(move |tag| {
        let is_picture = tag.kind == TagKind::Video && tag.payload.get(1) == Some(&1);
        let at = if is_picture { nth.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Some(with_captions(tag, pairs[at % pairs.len()]))
    });
    let _publisher = captioned.start().started();
    let _plain = publish(&nginx, "plain");
    let browser = Browser::start();
    let watch =
        |stream: &str| browser.open(&format!("http://127.0.0.1:{}/watch/live/{stream}", sidecar.web()));
    let is = |script: &str| browser.run(&format!("return Boolean({script})")) == true;
    let plays = |tech: &str| {
        is(&format!("document.body.dataset.state === 'PLAYING' && document.body.dataset.tech === '{tech}'"))
    };
    let tracks = "[...video.textTracks].filter(({ mode }) => mode === 'showing')";

    watch("show");
    until("it plays over WebSocket", 30.0, || plays("ws"));
    until("captions are offered", 20.0, || is("!document.getElementById('captions').hidden"));
    assert!(is(&format!("{tracks}.length === 0")));
    browser.click("#captions");
    let shown = format!(
        "{tracks}.some(({{ cues }}) => [...cues ?? []].some(({{ text }}) => text.includes('{}')))",
        TEXT.trim()
    );
    until("the captions are there", 30.0, || is(&shown));
    until("it plays as HLS", 20.0, || plays("llhls"));
    let active = format!("{tracks}.some(({{ activeCues }}) => activeCues.length > 0)");
    until("they are on the video", 20.0, || is(&active));
    if let Some(folder) = std::env::var_os("WEIR_SCREENSHOTS") {
        std::fs::write(std::path::Path::new(&folder).join("captions.png"), browser.screenshot()).unwrap();
    }
    assert!(is("document.getElementById('captions').getAttribute('aria-pressed') === 'true'"));
    assert_eq!(browser.console(), [""; 0]);
    // Without captions, the player returns to the lower latency.
    browser.click("#captions");
    until("they are gone", 5.0, || is(&format!("{tracks}.length === 0")));
    until("it plays over WebSocket again", 30.0, || plays("ws"));
    assert!(is("document.getElementById('captions').getAttribute('aria-pressed') === 'false'"));

    // On a page that plays HLS anyway, they appear by themselves in the browser's list.
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?tech=llhls", sidecar.web()));
    until("the track is there", 30.0, || is("video.textTracks.length > 0"));
    let live = ask(sidecar.web(), "/v1/live", &[]).json();
    let has = |stream: &str| {
        let streams = live["streams"].as_array().unwrap();
        streams.iter().find(|one| one["name"] == stream).unwrap()["captions"].clone()
    };
    assert_eq!(has("show"), true);

    watch("plain");
    until("it plays", 30.0, || plays("ws"));
    let live = ask(sidecar.web(), "/v1/live", &[]).json();
    let plain = live["streams"].as_array().unwrap().iter().find(|one| one["name"] == "plain").unwrap();
    assert_eq!(plain["captions"], false);
    assert!(is("document.getElementById('captions').hidden"));
}
