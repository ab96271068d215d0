use super::*;

fn hls(playlist: &str) -> String {
    text(&rewritten(PlaylistFormat::Hls, playlist.as_bytes())).to_owned()
}

#[test]
fn each_uri_carries_the_token() {
    let playlist = "#EXTM3U\r
#EXT-X-VERSION:9
#EXT-X-KEY:METHOD=AES-128,URI=\"show-1.key\",IV=0x01
#EXT-X-MAP:URI=\"init.mp4?v=1\",BYTERANGE=\"10@0\"
#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a, URI=\\\"x\",URI=\"sound/index.m3u8\"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"iframes.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a,b\"
low/index.m3u8
#EXTINF:2.000, a title with URI=\"x\"
show-1.ts\r
#EXTINF:2.000,
http://live.example.org/hls/show-2.ts?a=1
#EXTINF:2.000,
https://cdn.example.net/show-3.ts
#EXT-X-PART:DURATION=0.3,URI=\"part.mp4\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"next.mp4\"
#EXT-X-RENDITION-REPORT:URI=\"../hi/index.m3u8\",LAST-MSN=1
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"
#EXT-X-DATERANGE:ID=\"1\",X-URI=\"x\"
# a comment with URI=\"x\"

#EXT-X-ENDLIST";
    let expected = "#EXTM3U\r
#EXT-X-VERSION:9
#EXT-X-KEY:METHOD=AES-128,URI=\"show-1.key?T\",IV=0x01
#EXT-X-MAP:URI=\"init.mp4?v=1&T\",BYTERANGE=\"10@0\"
#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a, URI=\\\"x\",URI=\"sound/index.m3u8?T\"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"iframes.m3u8?T\"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a,b\"
low/index.m3u8?T
#EXTINF:2.000, a title with URI=\"x\"
show-1.ts?T\r
#EXTINF:2.000,
http://live.example.org/hls/show-2.ts?a=1&T
#EXTINF:2.000,
https://cdn.example.net/show-3.ts
#EXT-X-PART:DURATION=0.3,URI=\"part.mp4?T\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"next.mp4?T\"
#EXT-X-RENDITION-REPORT:URI=\"../hi/index.m3u8?T\",LAST-MSN=1
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"
#EXT-X-DATERANGE:ID=\"1\",X-URI=\"x\"
# a comment with URI=\"x\"

#EXT-X-ENDLIST";
    // A quote cannot be escaped (RFC 8216, section 4.2): the attribute NAME ends at the second one.
    let playlist = playlist.replace("\\\"x\"", "x\"");
    assert_eq!(
        hls(&playlist),
        expected
            .replace("\\\"x\"", "x\"")
            .replace("?T", "?token=aaa.bbb.ccc")
            .replace("&T", "&token=aaa.bbb.ccc")
    );
}

#[test]
fn what_is_no_playlist_stays_as_it_is() {
    for other in ["", "\n#EXTM3U\nx.ts\n", "<html>\nx.ts\n", "#EXTM3U8\nx.ts", " #EXTM3U\nx.ts"] {
        assert_eq!(hls(other), other);
    }
    assert_eq!(hls("\u{feff}#EXTM3U \nx.ts"), "\u{feff}#EXTM3U \nx.ts?token=aaa.bbb.ccc");
}

#[test]
fn a_line_too_long_stays_as_it_is() {
    let long = "x".repeat(MAX_LINE);
    let playlist = format!("#EXTM3U\n{long}\na.ts\n{}\n{long}", &long[1..]);
    let expected =
        format!("#EXTM3U\n{long}\na.ts?token={TOKEN}\n{}?token={TOKEN}\n{long}?token={TOKEN}", &long[1..]);
    assert_eq!(hls(&playlist), expected);
    let borders: Vec<usize> = (0..playlist.len()).step_by(1000).collect();
    assert_eq!(text(&in_pieces(PlaylistFormat::Hls, playlist.as_bytes(), &borders)), expected);
    assert_eq!(hls(&format!("{long}x\na.ts")), format!("{long}x\na.ts"));
}

#[test]
fn a_large_playlist_is_rewritten() {
    let segments = 200_000;
    let mut playlist = "#EXTM3U\n".to_owned();
    for number in 0..segments {
        playlist.push_str(&format!("#EXTINF:2.000,\nshow-{number}.ts\n"));
    }
    assert!(playlist.len() > 5_000_000);
    let borders: Vec<usize> = (0..playlist.len()).step_by(32_768).collect();
    let out = in_pieces(PlaylistFormat::Hls, playlist.as_bytes(), &borders);
    assert_eq!(out.len(), playlist.len() + segments * (TOKEN.len() + "?token=".len()));
    assert_eq!(text(&out), reference(&playlist));
}

/// A slow reference implementation: by lines, and by patterns in each line.
fn reference(playlist: &str) -> String {
    let with_token = |uri: &str| {
        let absolute = uri.contains("//");
        let foreign = uri.starts_with("skd:") || absolute && !uri.contains("//live.example.org/");
        match () {
            () if uri.is_empty() || foreign => uri.to_owned(),
            () if uri.contains('?') => format!("{uri}&token={TOKEN}"),
            () => format!("{uri}?token={TOKEN}"),
        }
    };
    let rewrite = |line: &str| {
        let (line, end) = line.strip_suffix('\r').map_or((line, ""), |line| (line, "\r"));
        let line = match line.strip_prefix("#EXT-X-").map(|tag| tag.split_once("URI=\"")) {
            Some(Some((before, after))) => {
                let (uri, rest) = after.split_once('"').unwrap();
                format!("#EXT-X-{before}URI=\"{}\"{rest}", with_token(uri))
            }
            _ if line.starts_with('#') => line.to_owned(),
            _ => with_token(line),
        };
        format!("{line}{end}")
    };
    playlist.split('\n').map(rewrite).collect::<Vec<_>>().join("\n")
}

fn any_uri() -> impl Strategy<Value = String> {
    let before = prop::sample::select(vec![
        "",
        "/",
        "../",
        "a/b/",
        "http://live.example.org/",
        "https://LIVE.example.org/x/".to_lowercase().leak(),
        "//live.example.org/",
        "http://cdn.example.net/",
        "//cdn.example.net/",
        "skd://x/",
    ]);
    (before, "[a-z0-9._-]{1,12}", prop::option::of("[a-z]=[a-z0-9]{0,4}")).prop_map(
        |(before, file, query)| {
            query.map_or_else(|| format!("{before}{file}"), |query| format!("{before}{file}?{query}"))
        },
    )
}

fn any_line() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "KEY:METHOD=AES-128,",
        "MAP:",
        "MEDIA:TYPE=AUDIO,NAME=\"a, b=c\",",
        "PART:DURATION=0.3,",
        "PRELOAD-HINT:TYPE=PART,",
        "I-FRAME-STREAM-INF:CODECS=\"a,b\",",
        "RENDITION-REPORT:",
        "SESSION-KEY:",
    ]);
    let after = prop::sample::select(vec!["", ",IV=0x1", ",BYTERANGE=\"1@0\",X=1", ","]);
    prop_oneof![
        3 => any_uri(),
        3 => (tag, any_uri(), after).prop_map(|(tag, uri, after)| format!("#EXT-X-{tag}URI=\"{uri}\"{after}")),
        2 => prop::sample::select(vec!["#EXTINF:2.0,", "#EXTINF:2.0,t=\"URI=", "", "# x", "#EXT-X-DISCONTINUITY", "#EXT-X-STREAM-INF:BANDWIDTH=1"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn playlists_are_rewritten_as_the_slow_way_does(
        lines in prop::collection::vec((any_line(), prop::sample::select(vec!["\n", "\r\n"])), 0..20),
        borders in prop::collection::vec(0_usize..2000, 0..8),
        last_end: bool,
    ) {
        let mut playlist = "#EXTM3U\n".to_owned();
        for (line, end) in &lines {
            playlist.push_str(line);
            playlist.push_str(end);
        }
        if !last_end {
            playlist.pop();
        }
        let out = in_pieces(PlaylistFormat::Hls, playlist.as_bytes(), &sorted(&borders, playlist.len()));
        prop_assert_eq!(text(&out), reference(&playlist));
    }
}
