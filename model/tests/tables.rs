//! Compares tables and packed words with values that were written by hand, to find an error that reader and writer
//! share.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_model::{AudioFacts, Digest, Rate, Refusal, Target, Timestamp, VideoFacts, token::Action};

/// Video File Format Specification 10, annex E.4.3.1.
#[test]
fn names_of_video_codecs() {
    let names = [
        (1, "Jpeg"),
        (2, "Sorenson-H263"),
        (3, "ScreenVideo"),
        (4, "On2-VP6"),
        (5, "On2-VP6-Alpha"),
        (6, "ScreenVideo2"),
        (7, "H264"),
    ];
    for (codec_id, name) in names {
        assert_eq!(VideoFacts { codec_id, ..VideoFacts::default() }.codec(), name);
    }
    assert_eq!(VideoFacts::default().codec(), "");
}

/// ITU-T H.264, annex A.2.
#[test]
fn names_of_video_profiles() {
    let names = [
        (66, "Baseline"),
        (77, "Main"),
        (88, "Extended"),
        (100, "High"),
        (110, "High 10"),
        (122, "High 4:2:2"),
        (244, "High 4:4:4"),
    ];
    for (profile, name) in names {
        assert_eq!(VideoFacts { codec_id: 7, profile, ..VideoFacts::default() }.profile(), name);
    }
    let level = |level| VideoFacts { codec_id: 7, level, ..VideoFacts::default() }.level();
    assert_eq!([level(0), level(9), level(31), level(52)], ["", "0.9", "3.1", "5.2"]);
}

/// Video File Format Specification 10, annex E.4.2.1; ISO/IEC 14496-3, table 1.17.
#[test]
fn names_of_audio_codecs_and_profiles() {
    let codecs = [
        (0, "Uncompressed"),
        (1, "ADPCM"),
        (2, "MP3"),
        (3, "LinearLE"),
        (4, "Nellymoser16"),
        (5, "Nellymoser8"),
        (6, "Nellymoser"),
        (7, "G711A"),
        (8, "G711U"),
        (9, ""),
        (10, "AAC"),
        (11, "Speex"),
        (14, "MP3-8K"),
        (15, "DeviceSpecific"),
    ];
    for (codec_id, name) in codecs {
        assert_eq!(AudioFacts { codec_id, ..AudioFacts::default() }.codec(), name, "{codec_id}");
    }
    let profiles = [(0, ""), (1, "Main"), (2, "LC"), (3, "SSR"), (4, "LTP"), (5, "HE"), (29, "HEv2")];
    for (aac_profile, name) in profiles {
        assert_eq!(AudioFacts { codec_id: 10, aac_profile, ..AudioFacts::default() }.profile(), name);
    }
    let signalled = |sbr, ps| AudioFacts::object_type(2, sbr, ps);
    assert_eq!([signalled(false, false), signalled(true, false), signalled(true, true)], [2, 5, 29]);
    assert_eq!(AudioFacts::object_type(1, true, true), 1);
}

proptest! {
    #[test]
    fn what_a_word_holds_comes_back(numbers in any::<(u8, u8, u8, u16, u16, u8, u8, u32)>()) {
        let (codec_id, profile, level, width, height, aac_profile, channels, sample_rate) = numbers;
        let video = VideoFacts { codec_id, profile, level, width, height, ..VideoFacts::default() };
        prop_assert_eq!(VideoFacts::from_words(video.to_words()), Some(video));
        let audio = AudioFacts { codec_id, aac_profile, channels, sample_rate };
        prop_assert_eq!(AudioFacts::from_words(audio.to_words()), Some(audio));
    }
}

#[test]
fn what_publishers_are_told() {
    for refusal in
        [Refusal::UnknownKey, Refusal::Duplicate, Refusal::Busy, Refusal::NotText, Refusal::NotConnected]
    {
        assert_eq!(refusal.status_code(), "NetStream.Publish.BadName", "{refusal}");
    }
    for refusal in
        [Refusal::Expired, Refusal::Banned, Refusal::ForeignNetwork, Refusal::TokenExpired, Refusal::ZoneFull]
    {
        assert_eq!(refusal.status_code(), "NetStream.Publish.Denied", "{refusal}");
    }
}

#[test]
fn actions_of_tokens() {
    for (text, action) in [("play", Action::Play), ("publish", Action::Publish)] {
        assert_eq!(text.parse::<Action>().unwrap(), action);
        assert_eq!(action.to_string(), text);
    }
    for text in ["", "Play", "publish ", "record"] {
        assert!(text.parse::<Action>().is_err(), "{text}");
    }
}

/// Every worker must derive the same id after every start.
#[test]
fn ids_of_targets_of_the_configuration() {
    let url = "rtmp://a.example/live/key";
    let target = |app: &str| {
        Target::of_configuration(app.parse().unwrap(), "*".parse().unwrap(), url.parse().unwrap())
    };
    let digest = Digest::of(format!("live\0*\0{url}").as_bytes()).to_hex();
    assert_eq!(format!("{:016x}", target("live").id.0), digest[..16]);
    assert_ne!(target("live").id, target("other").id);
}

/// Two samples at the same time: the growth between them belongs to the next step.
#[test]
fn a_rate_counts_what_came_within_one_moment() {
    let at = |ms: u32| Timestamp::from_millis(1_000_000 + u64::from(ms));
    let mut rate = Rate::default();
    rate.push(at(0), 0);
    rate.push(at(0), 500);
    rate.push(at(1000), 1000);
    assert_eq!(rate.bits_per_second(), 8000);
}
