use super::*;

#[test]
fn reasons_are_short_and_lower_case() {
    for (refusal, reason) in [
        (Refusal::UnknownKey, "unknown key"),
        (Refusal::Expired, "key expired"),
        (Refusal::BadName(NameError::Empty), "bad stream name: empty name, expected 1 to 128 characters"),
        (ArgumentError::Reserved { name: "addr" }.into(), "argument \"addr\" is reserved"),
        (Refusal::TooLong { len: 256 }, "name and arguments of 256 bytes, at most 255 are allowed"),
        (
            Refusal::NotAdmitted { command: RefusedCommand::Publish, denial: Denial::Status(403) },
            "not admitted: on_publish answered with status 403",
        ),
        (
            Refusal::NotAdmitted { command: RefusedCommand::Play, denial: Denial::NoAnswer },
            "not admitted: on_play does not answer",
        ),
    ] {
        assert_eq!(refusal.to_string(), reason);
    }
}

#[test]
fn one_of_each_has_every_label() {
    let labels: Vec<&str> = Refusal::one_of_each().iter().map(Refusal::label).collect();
    for label in Refusal::LABELS {
        assert!(labels.contains(&label), "{label}");
    }
}

#[test]
fn each_topic_has_its_place_and_words() {
    for (index, label) in Refusal::LABELS.iter().enumerate() {
        assert_eq!(Refusal::LABELS.iter().filter(|other| *other == label).count(), 1);
        assert_eq!(Topic::words(index), format!("publish refused: {}", label.replace('_', " ")));
    }
    let of = |command| Topic::words(Topic::Refused(command, Refusal::Address).index());
    assert_eq!(
        [RefusedCommand::Publish, RefusedCommand::Connect, RefusedCommand::Play].map(of),
        ["publish refused: address", "connect refused: address", "play refused: address"]
    );
    assert_eq!(Topic::words(Topic::Pull(Refusal::Duplicate).index()), "pull refused: duplicate");
    // Wrong keys and invalid tokens share one counter.
    assert_eq!(Topic::Refused(RefusedCommand::Publish, Refusal::TokenInvalid).index(), 0);
    assert_eq!(Topic::Refused(RefusedCommand::Play, Refusal::TokenRevoked).index(), Topic::SERVER - 1);
    assert_eq!(Topic::Server(31).index(), Topic::COUNT - 1);
    assert_eq!(Topic::words(Topic::Server(0).index()), "error lines of nginx-rtmp");
}

#[test]
fn lines_of_one_kind_differ_in_numbers_and_quoted_words_alone() {
    let kind = |text: &str| kind_of_line(format!("2026/11/26 14:07:40 [error] 8#8: {text}").as_bytes());
    let limit = kind("*12 limit: too many connections: 5 > 4, client: 192.0.2.1");
    assert_eq!(limit, kind("*7 limit: too many connections: 12 > 4, client: 192.0.2.7"));
    let bad = kind("*12 play: bad name 'a*b', client: 192.0.2.1");
    assert_eq!(bad, kind("*1 play: bad name 'c', client: unix:"));
    let frame = kind("*1 hls: video frame failed, client: 192.0.2.1");
    let write = kind("*1 hls: write failed (28: No space left on device), client: 192.0.2.1");
    assert_eq!([limit, bad, frame, write].iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn codes_fit_the_command() {
    for (command, refusal, code) in [
        (RefusedCommand::Publish, Refusal::Address, "NetStream.Publish.Denied"),
        (RefusedCommand::Play, Refusal::Address, "NetStream.Play.Failed"),
        (RefusedCommand::Play, Refusal::TokenExpired, "NetStream.Play.Failed"),
        (RefusedCommand::Play, Refusal::NoToken, "NetStream.Play.Failed"),
        (RefusedCommand::Play, Refusal::Crowded, "NetStream.Play.Failed"),
        (RefusedCommand::Play, Refusal::KeyAsName, "NetStream.Play.StreamNotFound"),
        (RefusedCommand::Connect, Refusal::KeyInServer, "NetConnection.Connect.Rejected"),
    ] {
        assert_eq!(refusal.code(command), code);
    }
    assert!(Refusal::KeyInServer.to_string().contains("Stream Key"));
}

#[test]
fn only_guesses_count_against_an_address() {
    assert!(Refusal::UnknownKey.is_wrong_key() && Refusal::NoKey.is_wrong_key());
    assert!(Refusal::from(TokenError::BadSignature).is_wrong_key());
    assert!(!Refusal::Expired.is_wrong_key());
    assert!(!Refusal::Duplicate.is_wrong_key());
}
