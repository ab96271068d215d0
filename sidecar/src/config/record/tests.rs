use std::path::Path;

use weir_model::Timestamp;

use super::super::{Config, Error, parse};
use super::*;

fn read(text: &str) -> Result<Config, Error> {
    parse(Path::new("weir.toml"), text)
}

#[test]
fn what_is_not_written_has_sane_values() {
    let config =
        read("[[record]]\napp = \"live\"\nstream = \"*\"\n[[thumbnail]]\napp = \"live\"\nstream = \"*\"")
            .unwrap();
    let record = &config.records[0];
    assert_eq!((record.format, record.split, record.min_free), (Format::Mp4, None, 1 << 30));
    assert_eq!(record.name.to_string(), "{app}/{stream}/{date}/{start}.{ext}");
    assert_eq!((config.thumbnails[0].every, config.thumbnails[0].height), (Duration::from_secs(10), 360));
}

#[test]
fn names_are_made_of_fields() {
    let start: Timestamp = "2026-11-20T18:03:04.567Z".parse().unwrap();
    let names = Names { app: "live", stream: "show", session: "s1", start, ext: "mkv" };
    for (template, copy, expected) in [
        ("{app}/{stream}/{date}/{start}.{ext}", 0, "live/show/2026-11-20/20261120T180304Z.mkv"),
        ("{app}/{stream}/{date}/{start}.{ext}", 2, "live/show/2026-11-20/20261120T180304Z_2.mkv"),
        ("{session}/x-{start}.{ext}", 0, "s1/x-20261120T180304Z.mkv"),
    ] {
        let template: Template = template.parse().unwrap();
        assert_eq!(template.path(&names, copy), Path::new(expected));
    }
}

#[test]
fn long_names_fit_into_file_systems() {
    let start: Timestamp = "2026-11-20T18:03:04.567Z".parse().unwrap();
    let (app, stream) = ("a".repeat(128), "n".repeat(128));
    let path = |template: &str, stream: &str| {
        let names = Names { app: &app, stream, session: "s1a1fa86ebb70001", start, ext: "mp4" };
        template.parse::<Template>().unwrap().path(&names, 3)
    };
    let whole = path("{app}/{stream}/{start}.{ext}", &stream);
    assert_eq!(whole, Path::new(&format!("{app}/{stream}/20261120T180304Z_3.mp4")));
    let flat = "é{app}_{stream}_{session}_{start}.{ext}";
    let cut = path(flat, &stream).into_os_string().into_string().unwrap();
    assert!(cut.len() <= 240 && cut.starts_with("éaaa"), "{cut}");
    assert!(cut.ends_with("_s1a1fa86ebb70001_20261120T180304Z_3.mp4"), "{cut}");
    // Another stream has another name.
    assert_ne!(path(flat, &format!("m{}", &stream[1..])), Path::new(&cut));
}

#[test]
fn what_is_wrong_is_said_with_place_key_and_remedy() {
    let record = |more: &str| format!("[[record]]\napp = \"live\"\nstream = \"*\"\n{more}");
    let upload =
        |more: &str| format!("[upload.s3]\nendpoint = \"https://s3.example.org\"\nbucket = \"b\"\n{more}");
    for (text, expected) in [
        ("[[record]]\nstream = \"*\"".to_owned(), "weir.toml:1: [[record]]: app is missing"),
        (record("format = \"flv\""), "weir.toml:4: format = \"flv\": must be \"mp4\" or \"mkv\""),
        (record("name = \"{start}.{ext}\""), "two streams would have one name"),
        (record("name = \"{app}/{stream}.{ext}\""), "{start} is missing"),
        (record("name = \"../{app}/{stream}/{start}.{ext}\""), "must be a path below folder"),
        (record("name = \"{app}/{stream}/{start}.mp4\""), "must end with .{ext}"),
        (record("name = \"{app}/{strem}/{start}.{ext}\""), "no field {strem}; there are {app}, {stream}"),
        (record("format = \"mkv\"\nplaylist = true"), "weir.toml:5: playlist = true: only goes with"),
        (record("split_size = \"1k\""), "split_size = \"1k\": must be at least 1m"),
        (record("keep_size = \"big\""), "write a size as 500m, 20g or 1t"),
        (record("keep = \"1s\""), "must be from 1m"),
        (record("upload = \"s3\""), "there is no [upload.s3] in this file"),
        (record("delete_uploaded = true"), "delete_uploaded only goes with upload"),
        ("[upload.s3]\nbucket = \"b\"".into(), "[upload.s3]: endpoint is missing"),
        ("[upload.s3]\nendpoint = \"s3.example.org\"".into(), "write it as https://s3.example.org"),
        (upload("part_size = \"1m\""), "part_size = \"1m\": must be from 5m to 512m"),
        (upload("prefix = \"/x\""), "write the beginning of keys"),
        ("[[thumbnail]]\napp = \"live\"\nstream = \"*\"\nevery = \"0s\"".into(), "must be from 1s to 1h"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}\n{expected}");
    }
}
