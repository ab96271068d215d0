use super::*;

fn target() -> Target {
    let body = br#"{"app":"live","stream":"show","url":"rtmp://me:pw@203.0.113.1/app/sk_1","note":"studio"}"#;
    NewTarget::from_json(body).unwrap().into_target(TargetId(1))
}

#[test]
fn id_is_t_and_16_hex_digits() {
    assert_eq!(TargetId(0x0123_4567_89ab_cdef).to_string(), "t0123456789abcdef");
    assert_eq!("t0123456789abcdef".parse(), Ok(TargetId(0x0123_4567_89ab_cdef)));
    for text in ["", "t", "k0123456789abcdef", "t123", "t0123456789abcdef0", "t+123456789abcdef"] {
        assert_eq!(text.parse::<TargetId>(), Err(TargetIdError), "{text}");
    }
}

#[test]
fn a_pattern_is_a_name_or_a_star() {
    let pattern = |text: &str| text.parse::<StreamPattern>().unwrap();
    assert!(pattern("*").matches("show") && pattern("*").matches("x y"));
    assert!(pattern("show").matches("show") && !pattern("show").matches("show2"));
    assert_eq!((pattern("*").to_string(), pattern("show").to_string()), ("*".into(), "show".into()));
    for (text, message) in [
        ("", "empty name, expected 1 to 128 characters; \"*\" alone means any stream"),
        (
            "a*",
            "invalid character '*' in the stream name, expected only letters, digits, \".\", \"_\" and \"-\"; \"*\" alone means any stream",
        ),
    ] {
        assert_eq!(text.parse::<StreamPattern>().unwrap_err().to_string(), message);
    }
}

#[test]
fn is_for_the_streams_of_its_application() {
    let mut target = target();
    let [here, there] = ["1935", "1936"].map(|port| Server::new([port.parse().unwrap()]));
    assert!(target.matches(&here, "live", "show") && target.matches(&there, "live", "show"));
    assert!(!target.matches(&here, "live", "other") && !target.matches(&here, "radio", "show"));
    target.stream = StreamPattern::Any;
    assert!(target.matches(&here, "live", "other") && !target.matches(&here, "radio", "show"));
    target.server = Some("1935".parse().unwrap());
    assert!(target.matches(&here, "live", "show") && !target.matches(&there, "live", "show"));
    assert!(!target.matches(&Server::nowhere(), "live", "show"));
}

#[test]
fn shown_as_the_api_says_and_without_secrets() {
    let session = PushView {
        stream: "show".into(),
        state: PushState::Waiting,
        since: crate::Timestamp::from_millis(1_795_197_600_000),
        retry_in_ms: Some(1200),
        bytes_out: 1,
        bitrate_out: 2,
        reconnects: 3,
        last_error: Some("connection refused".into()),
    };
    let view = target().view(vec![session]);
    let json = serde_json::to_string(&view).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"id":"t0000000000000001","app":"live","stream":"show","url":"rtmp://me:***@203.0.113.1/app/***","#,
            r#""enabled":true,"note":"studio","source":"api","sessions":[{"stream":"show","state":"waiting","#,
            r#""since":"2026-11-20T18:00:00Z","retry_in_ms":1200,"bytes_out":1,"bitrate_out":2,"reconnects":3,"#,
            r#""last_error":"connection refused"}]}"#
        )
    );
    assert_eq!(serde_json::from_str::<TargetView>(&json).unwrap(), view);
    let printed = format!("{:?} {view:?}", target());
    assert!(!printed.contains("sk_1") && !printed.contains("pw"), "{printed}");
}

#[test]
fn redacted_says_neither_where_nor_why() {
    let session = PushView { last_error: Some("rejected: 203.0.113.1".into()), ..Default::default() };
    let mut view = target().view(vec![session]);
    view.redact();
    let json = serde_json::to_string(&view).unwrap();
    assert!(!json.contains("203.0.113.1") && !json.contains("studio"), "{json}");
}

#[test]
fn a_state_has_a_number_and_a_name() {
    for state in PushState::ALL {
        assert_eq!(PushState::from_number(state.number()), state);
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert_eq!((PushState::from_number(0), PushState::from_number(99)), (PushState::Off, PushState::Off));
}

#[test]
fn a_target_needs_application_stream_and_url() {
    assert_eq!((target().enabled, target().source), (true, TargetSource::Api));
    let message = |body: &str| NewTarget::from_json(body.as_bytes()).unwrap_err().message;
    assert_eq!(message("{}"), "field \"app\": expected a string, found nothing");
    assert_eq!(message(r#"{"app":"live"}"#), "field \"stream\": expected a string, found nothing");
    assert_eq!(message(r#"{"app":"live","stream":"*"}"#), "field \"url\": expected a string, found nothing");
    let with = |field: &str| {
        message(&format!(r#"{{"app":"live","stream":"*","url":"rtmp://host/app/sk_1",{field}}}"#))
    };
    for (field, expected) in [
        (r#""enabled":1"#, "field \"enabled\": expected true or false, found a number"),
        (r#""note":"a\nb""#, "field \"note\": control characters are not allowed"),
        (r#""key":"x""#, "unknown field \"key\", known are app, stream, url, enabled, note, server"),
    ] {
        assert_eq!(with(field), expected);
    }
}

#[test]
fn a_wrong_url_is_named_and_not_repeated() {
    for (url, expected) in [
        ("http://host/app/sk_1", "field \"url\": unknown scheme, expected rtmp:// or rtmps://"),
        ("rtmp://me:sk_1@host", "field \"url\": no application, expected rtmp://host/app/key"),
    ] {
        let body = serde_json::json!({ "app": "live", "stream": "*", "url": url }).to_string();
        assert_eq!(NewTarget::from_json(body.as_bytes()).unwrap_err().message, expected);
    }
}

#[test]
fn a_request_is_read_as_it_was_written() {
    for body in [
        r#"{"app":"live","stream":"*","url":"rtmps://user:pass@host/app/sk_1","enabled":true}"#,
        r#"{"app":"live","stream":"show","server":"0.0.0.0:1936","url":"rtmp://host/app/sk_1","enabled":false,"note":"n"}"#,
    ] {
        let new = NewTarget::from_json(body.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&new).unwrap(), body);
    }
    for body in ["{}", r#"{"enabled":false}"#, r#"{"url":"rtmp://host/app/sk_1","note":""}"#] {
        let patch = PatchTarget::from_json(body.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&patch).unwrap(), body);
    }
}

#[test]
fn a_patch_changes_what_is_in_it() {
    let patch = |body: &str| PatchTarget::from_json(body.as_bytes()).unwrap();
    let mut changed = target();
    assert!(!patch("{}").apply(&mut changed) && !patch(r#"{"enabled":true}"#).apply(&mut changed));
    assert_eq!(changed, target());
    assert!(patch(r#"{"enabled":false,"note":""}"#).apply(&mut changed));
    assert_eq!(changed, Target { enabled: false, note: String::new(), ..target() });
    assert!(patch(r#"{"url":"rtmp://other/app/sk_2"}"#).apply(&mut changed));
    assert_eq!(changed.url.expose(), "rtmp://other/app/sk_2");
}

#[test]
fn a_patch_has_no_mask_and_no_other_field() {
    let message = |body: &str| PatchTarget::from_json(body.as_bytes()).unwrap_err().message;
    let masked = format!(r#"{{"url":"{}"}}"#, target().url.masked());
    assert_eq!(
        message(&masked),
        "field \"url\": *** replaces the key or the password, expected the whole url with its secrets"
    );
    assert_eq!(message(r#"{"app":"live"}"#), "unknown field \"app\", known are enabled, url, note");
}
