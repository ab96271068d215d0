use super::*;

fn dash(manifest: &str) -> String {
    text(&rewritten(PlaylistFormat::Dash, manifest.as_bytes())).to_owned()
}

#[test]
fn each_uri_carries_the_token() {
    let manifest = r#"<?xml version="1.0"?>
<!-- <BaseURL>http://cdn.example.net/</BaseURL> -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" media="x" profiles='a>b'>
  <Location>http://live.example.org/dash/show.mpd?a=1&amp;b=2</Location>
  <BaseURL>/dash/</BaseURL>
  <Period>
    <BaseURL> sound.mp4 </BaseURL>
    <SegmentTemplate timescale="1000" media="show-$Time$.m4v" initialization = 'show-init.m4v'/>
    <m:SegmentTemplate media="a/$Number$.m4s?x=1&amp;y=2#f" index="i"></m:SegmentTemplate>
    <SegmentList>
      <Initialization sourceURL="init.mp4" range="0-1"/>
      <SegmentURL media="https://live.example.org/1.mp4" mediaRange="0-1" index="https://cdn.example.net/i"/>
      <SegmentURL media="https://cdn.example.net/1.mp4"/>
      <SegmentURL media="&#x2f;/cdn.example.net/1.mp4"/>
      <SegmentURL xmedia="1.mp4" media=''/>
    </SegmentList>
    <UTCTiming value="/time"/>
  </Period>
</MPD>
"#;
    let expected = r#"<?xml version="1.0"?>
<!-- <BaseURL>http://cdn.example.net/</BaseURL> -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" media="x" profiles='a>b'>
  <Location>http://live.example.org/dash/show.mpd?a=1&amp;b=2&amp;T</Location>
  <BaseURL>/dash/</BaseURL>
  <Period>
    <BaseURL> sound.mp4?T </BaseURL>
    <SegmentTemplate timescale="1000" media="show-$Time$.m4v?T" initialization = 'show-init.m4v?T'/>
    <m:SegmentTemplate media="a/$Number$.m4s?x=1&amp;y=2&amp;T#f" index="i?T"></m:SegmentTemplate>
    <SegmentList>
      <Initialization sourceURL="init.mp4?T" range="0-1"/>
      <SegmentURL media="https://live.example.org/1.mp4?T" mediaRange="0-1" index="https://cdn.example.net/i"/>
      <SegmentURL media="https://cdn.example.net/1.mp4"/>
      <SegmentURL media="&#x2f;/cdn.example.net/1.mp4"/>
      <SegmentURL xmedia="1.mp4" media=''/>
    </SegmentList>
    <UTCTiming value="/time"/>
  </Period>
</MPD>
"#;
    assert_eq!(
        dash(manifest),
        expected
            .replace("T\"", "token=aaa.bbb.ccc\"")
            .replace("T'", "token=aaa.bbb.ccc'")
            .replace("T<", "token=aaa.bbb.ccc<")
            .replace("T#", "token=aaa.bbb.ccc#")
            .replace("T ", "token=aaa.bbb.ccc ")
    );
}

#[test]
fn a_base_elsewhere_takes_relative_uris_with_it() {
    for base in [
        "<BaseURL>https://cdn.example.net/</BaseURL>",
        "<BaseURL>//cdn.example.net/</BaseURL>",
        "<d:BaseURL\n priority='1'>\nhttps://cdn.example.net/ </d:BaseURL>",
        "<BaseURL><![CDATA[https://cdn.example.net/]]></BaseURL>",
        "<BaseURL>http<!-- -->s://cdn.example.net/</BaseURL>",
        "<BaseURL>&#x68;ttps://cdn.example.net/</BaseURL>",
        "<BaseURL></BaseURL>",
    ] {
        let own = "<SegmentURL media=\"http://live.example.org/1.mp4\"/>";
        let manifest =
            format!("<MPD><SegmentTemplate media=\"a\"/>{base}<SegmentURL media=\"b\"/>{own}</MPD>");
        let expected = manifest.replace("1.mp4", "1.mp4?token=aaa.bbb.ccc");
        assert_eq!(dash(&manifest), expected, "{base}");
    }
}

#[test]
fn what_is_no_manifest_goes_through() {
    for other in [
        "",
        "<",
        "<BaseURL",
        "<BaseURL>",
        "<!--",
        "<SegmentURL media=",
        "<SegmentURL media=\"x",
        "<SegmentURL media=x>",
        "a < b > c",
        "<>",
    ] {
        assert_eq!(dash(other), other);
    }
}

#[test]
fn a_manifest_too_large_stays_as_it_is() {
    let manifest = format!("<SegmentURL media=\"a\"/>{}", " ".repeat(MAX_MANIFEST));
    let out = in_pieces(PlaylistFormat::Dash, manifest.as_bytes(), &[100, 5000, MAX_MANIFEST - 7]);
    assert!(out == manifest.as_bytes());
    let large = &manifest[..MAX_MANIFEST];
    assert!(
        rewritten(PlaylistFormat::Dash, large.as_bytes())
            .starts_with(b"<SegmentURL media=\"a?token=aaa.bbb.ccc\"/>")
    );
}

fn any_piece() -> impl Strategy<Value = (String, String)> {
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let uri =
        ("[a-z$/.0-9]{0,3}[a-z0-9]", prop::option::of("[a-z]=[0-9]")).prop_map(|(path, query)| match query {
            Some(query) => (format!("{path}?{query}"), format!("{path}?{query}&amp;token={TOKEN}")),
            None => (path.clone(), format!("{path}?token={TOKEN}")),
        });
    let uri = uri.prop_filter("a path, and no host", |(path, _)| !path.starts_with("//"));
    let shape = prop::sample::select(vec![
        ("<SegmentTemplate media=\"", "\" startNumber=\"1\"/>"),
        ("<SegmentTemplate a='=\"' initialization='", "'>"),
        ("<SegmentURL\n media = \"", "\"/>"),
        ("<Initialization sourceURL=\"", "\"></Initialization>"),
        ("<BaseURL>", "</BaseURL>"),
        ("<Location>\n", "\n</Location>"),
    ]);
    prop_oneof![
        3 => (shape, uri).prop_map(|((before, after), (uri, with))| (format!("{before}{uri}{after}"), format!("{before}{with}{after}"))),
        1 => prop::sample::select(vec!["<S t=\"0\" d=\"2\"/>", "text", "<!-- media=\"x\" -->", "<?x media=\"y\"?>", "<![CDATA[<SegmentURL media=\"x\"/>]]>", "</Period>", "<Media media=\"x\"/>"])
            .prop_map(same),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn manifests_are_rewritten_as_they_were_made(
        pieces in prop::collection::vec(any_piece(), 0..20),
        borders in prop::collection::vec(0_usize..2000, 0..8),
    ) {
        let manifest: String = pieces.iter().map(|(plain, _)| plain.as_str()).collect();
        let expected: String = pieces.iter().map(|(_, with)| with.as_str()).collect();
        let out = in_pieces(PlaylistFormat::Dash, manifest.as_bytes(), &sorted(&borders, manifest.len()));
        prop_assert_eq!(text(&out), expected);
    }
}

#[test]
fn what_may_lead_to_another_host_gets_no_token() {
    let template = |id: &str, media: &str| {
        format!(
            "<MPD><Representation id=\"{id}\" bandwidth=\"1\"><SegmentTemplate media=\"{media}\"/></Representation></MPD>"
        )
    };
    for manifest in [
        template("//evil.example/x", "$RepresentationID$/1.m4s"),
        template("/evil.example/x", "/$RepresentationID$"),
        template("://evil.example/x", "http$RepresentationID$"),
        template("&#47;/evil", "$RepresentationID$"),
        template("\\\\evil", "$RepresentationID$"),
        template("x", "$RepresentationID$").replace("bandwidth=\"1\"", "bandwidth='//evil'"),
        "<!DOCTYPE MPD [<!ENTITY e \"//evil/\">]><MPD><BaseURL>&e;</BaseURL><SegmentURL media=\"x\"/></MPD>"
            .to_owned(),
        "<!doctype MPD SYSTEM '//evil/x.dtd'><MPD><SegmentURL media=\"x\"/></MPD>".to_owned(),
        "<MPD xml:base=\"//evil/\"><SegmentURL media=\"x\"/></MPD>".to_owned(),
        "<MPD><BaseURL>\u{a0}//evil/</BaseURL><SegmentURL media=\"x\"/></MPD>".to_owned(),
        "<MPD><BaseURL>\\\\evil/</BaseURL><SegmentURL media=\"x\"/></MPD>".to_owned(),
        "<?xml version='1.0' encoding='UTF-7'?><MPD><SegmentURL media=\"x\"/></MPD>".to_owned(),
    ] {
        assert_eq!(dash(&manifest), manifest);
    }
    let plain = template("show_H264.1-a", "$RepresentationID$/$Number%05d$.m4s");
    assert!(dash(&plain).contains("$RepresentationID$/$Number%05d$.m4s?token="), "{}", dash(&plain));
    // Without a template, the id may have any bytes.
    assert!(dash(&template("//evil", "seg.m4s")).contains("seg.m4s?token="));
}
