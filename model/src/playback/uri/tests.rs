use super::*;
use proptest::prelude::*;

fn layout(app: Option<&str>, variants: &[&str]) -> Layout {
    Layout { app: app.map(str::to_owned), variants: variants.iter().map(|v| (*v).to_owned()).collect() }
}

fn is_known(app: &str) -> bool {
    ["live", "live/eu", "hls"].contains(&app)
}

/// Returns `APP NAME`, and the base stream of a variant, or the error.
fn of(path: &str, layout: &Layout) -> String {
    match stream_of(b"/hls/", path.as_bytes(), layout, is_known) {
        Ok(named) => match &named.variant_of {
            Some(base) => format!("{} {} of {base}", named.app, named.stream),
            None => format!("{} {}", named.app, named.stream),
        },
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn each_layout_names_its_stream() {
    let live = layout(Some("live"), &[]);
    for (path, stream) in [
        // flat
        ("/show.m3u8", "live show"),
        ("show.m3u8", "live show"),
        ("show-17.ts", "live show"),
        ("show-17.key", "live show"),
        ("show.mpd", "live show"),
        ("show-init.m4v", "live show"),
        ("show-init.m4a", "live show"),
        ("show-120033.m4v", "live show"),
        ("show.jpg", "live show"),
        ("a/b/show.m3u8", "live show"),
        // possible ends of a name
        ("show-2.m3u8", "live show-2"),
        ("show-2.ts", "live show"),
        ("show-2-17.ts", "live show-2"),
        ("show_low.m3u8", "live show_low"),
        ("show_low-17.ts", "live show_low"),
        ("show-init.mpd", "live show-init"),
        ("show-init-init.m4v", "live show-init"),
        ("17.m3u8", "live 17"),
        ("17-5.ts", "live 17"),
        ("index-5.ts", "live index"),
        ("show.ts.m3u8", "live show.ts"),
        // hls_nested, dash_nested
        ("show/index.m3u8", "live show"),
        ("show/17.ts", "live show"),
        ("show/17.key", "live show"),
        ("show/index.mpd", "live show"),
        ("show/init.m4a", "live show"),
        ("live/index.m3u8", "live live"),
        ("live/17.ts", "live live"),
        // below the application: ladders and folders
        ("live/show/master.m3u8", "live show"),
        ("live/show/manifest.mpd", "live show"),
        ("live/show/480p/index.m3u8", "live show"),
        ("live/show/480p/init-3.mp4", "live show"),
        ("live/show/480p/17.m4s", "live show"),
        ("ladder/live/show/480p/17.m4s", "live show"),
        ("live/show.m3u8", "live show"),
        ("live/show-17.ts", "live show"),
        ("live/show.jpg", "live show"),
        ("live/show/17.ts", "live show"),
        ("live/show/2026-11-26.mp4", "live show"),
    ] {
        assert_eq!(of(path, &live), stream, "{path}");
    }
}

#[test]
fn what_has_no_stream_is_refused() {
    let live = layout(Some("live"), &[]);
    for path in [
        "index.html",
        "index.m3u8",
        "master.m3u8",
        "manifest.mpd",
        "17.ts",
        "init.m4v",
        "show",
        "show.ts",
        "show-.ts",
        "show-x.ts",
        "show-init.ts",
        "show-123456789012345678901.ts",
        ".m3u8",
        "-17.ts",
        "-x.m3u8",
        ".hidden.m3u8",
        "show.m3u8.bak",
        "show.M3U8",
        "show.m4s",
        "other/480p/17.m4s",
        "other/480p/index.m3u8",
        "other/480p/17.ts",
        "other/still.jpg",
        "hls/show-2/17.m4v",
        "live/-x/master.m3u8",
        "live/index.html",
        // of the application live/eu
        "live/eu/show.m3u8",
    ] {
        assert_eq!(of(path, &live), "NoStream", "{path}");
    }
    for path in [
        "",
        "/",
        "//show.m3u8",
        "a//show.m3u8",
        "./show.m3u8",
        "a/./show.m3u8",
        "show.m3u8/../other.m3u8",
        "..",
        "show/",
        "show.m3u8/",
        "sh\0ow.m3u8",
        "sh ow.m3u8",
        "show\u{e9}.m3u8",
        "show.m3u8\n",
    ] {
        assert_eq!(of(path, &live), "NotPlain", "{path}");
    }
    assert_eq!(stream_of(b"", b"sh\xffow.m3u8", &live, is_known), Err(UriError::NotPlain));
    for path in ["show.m3u8;x", "show;x.m3u8", "live/sh;ow/master.m3u8", "show%2e.m3u8", "show\\x.m3u8"] {
        assert_eq!(of(path, &live), "NoStream", "{path}");
    }
}

#[test]
fn without_app_the_path_names_it() {
    let any = layout(None, &[]);
    for (path, stream) in [
        ("live/show.m3u8", "live show"),
        ("live/show/master.m3u8", "live show"),
        ("live/eu/show/master.m3u8", "live/eu show"),
        ("live/eu/show.m3u8", "live/eu show"),
        ("ladder/live/show/480p/index.m3u8", "live show"),
        ("live/index.m3u8", "NoStream"),
        ("live/17.ts", "NoStream"),
        ("show.m3u8", "NoApplication"),
        ("Live/show.m3u8", "NoApplication"),
        ("show/index.m3u8", "NoApplication"),
        ("other/show.m3u8", "NoApplication"),
        ("x/live/show.m3u8", "NoApplication"),
    ] {
        assert_eq!(of(path, &any), stream, "{path}");
    }
}

#[test]
fn variants_belong_to_their_stream_where_the_location_says_so() {
    let variants = layout(Some("live"), &["_low", "_hi"]);
    for (path, stream) in [
        ("show.m3u8", "live show"),
        ("show_low.m3u8", "live show_low of show"),
        ("show_low-17.ts", "live show_low of show"),
        ("show_hi/index.m3u8", "live show_hi of show"),
        ("show_mid.m3u8", "live show_mid"),
        ("_low.m3u8", "live _low"),
        ("show_low_hi.m3u8", "live show_low_hi of show_low"),
    ] {
        assert_eq!(of(path, &variants), stream, "{path}");
    }
}

proptest! {
    /// Each file that nginx-rtmp or a ladder writes for a stream belongs to that stream, for any name.
    #[test]
    fn a_file_is_of_the_stream_that_it_was_written_for(
        name in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
        number: u64,
        file in 0_usize..17,
    ) {
        prop_assume!(!["index", "master", "manifest"].contains(&name.as_str()) && name != "eu");
        let path = [
            format!("{name}.m3u8"),
            format!("{name}-{number}.ts"),
            format!("{name}-{number}.key"),
            format!("{name}.mpd"),
            format!("{name}-init.m4v"),
            format!("{name}-{number}.m4a"),
            format!("{name}.jpg"),
            format!("{name}/index.m3u8"),
            format!("{name}/{number}.ts"),
            format!("{name}/index.mpd"),
            format!("{name}/init.m4a"),
            format!("{name}/{number}.m4v"),
            format!("live/{name}/master.m3u8"),
            format!("live/{name}/manifest.mpd"),
            format!("live/{name}/480p/index.m3u8"),
            format!("live/{name}/480p/{number}.m4s"),
            format!("live/{name}.jpg"),
        ];
        prop_assert_eq!(of(&path[file], &layout(Some("live"), &[])), format!("live {name}"), "{}", path[file]);
    }

    /// For any path, the resulting name is a part of the path, or the beginning of the file's name.
    #[test]
    fn a_name_stands_in_the_path(path in "[a-c./_-]{0,12}(\\.m3u8|-1\\.ts|\\.mpd|/index\\.m3u8|/1\\.ts)") {
        if let Ok(named) = stream_of(b"/", path.as_bytes(), &layout(Some("a"), &["_b"]), |_| false) {
            let name = named.stream.as_str();
            let begins = |part: &str| part.strip_prefix(name).is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'.' | b'-')));
            let stands = path.split('/').any(begins);
            prop_assert!(stands, "{}", name);
            if let Some(base) = &named.variant_of {
                prop_assert_eq!(format!("{base}_b"), name);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(path in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = stream_of(b"/", &path, &layout(None, &["x"]), is_known);
    }
}

#[test]
fn below_the_application_s_own_location_the_first_folder_is_the_stream() {
    let live = layout(Some("live"), &[]);
    for (location, path, stream) in [
        ("/ladder/live/", "other/480p/index.m3u8", Ok("other")),
        ("/ladder/live/", "other/480p/17.m4s", Ok("other")),
        ("/ladder/live/", "other/master.m3u8", Ok("other")),
        ("/live", "show/17.ts", Ok("show")),
        ("/live/", "live/480p/index.m3u8", Ok("live")),
        ("/live/", "show.m3u8", Ok("show")),
        ("/live/", "index.m3u8", Err(UriError::NoStream)),
        // Another application, whose name has the same ending.
        ("/alive/", "other/480p/index.m3u8", Err(UriError::NoStream)),
        ("/tv/", "other/480p/index.m3u8", Err(UriError::NoStream)),
        ("/", "x/other/480p/17.ts", Err(UriError::NoStream)),
    ] {
        let found = stream_of(location.as_bytes(), path.as_bytes(), &live, is_known);
        assert_eq!(
            found.as_ref().map(|named| named.stream.as_str()),
            stream.as_ref().copied(),
            "{location}{path}"
        );
    }
}
