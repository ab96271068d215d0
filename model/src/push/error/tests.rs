use super::*;

#[test]
fn the_target_speaks_for_itself() {
    for (code, description, text) in [
        ("NetStream.Publish.BadName", "Already publishing", "NetStream.Publish.BadName: Already publishing"),
        ("NetStream.Publish.BadName", "", "NetStream.Publish.BadName"),
        ("", " No such key ", "No such key"),
        ("", "", "without a reason"),
        ("Denied", "NetStream.Denied: no", "NetStream.Denied: no"),
        ("X", "a\r\nb\u{1b}[31m", "X: a  b\u{fffd}[31m"),
        ("X", "\u{202e}drow\u{2066}\u{200b}", "X: \u{fffd}drow\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(LastError::rejected(code, description).to_string(), format!("rejected: {text}"));
    }
    let long = LastError::rejected("", &"\u{e9}".repeat(999)).to_string();
    assert_eq!(long, format!("rejected: {}...", "\u{e9}".repeat(200)));
}

#[test]
fn the_system_is_put_into_words() {
    for (errno, text) in [
        (111, "connection refused"),
        (110, "timed out connecting"),
        (104, "connection reset"),
        (101, "cannot connect: network unreachable"),
        (9999, "cannot connect: error 9999"),
    ] {
        assert_eq!(LastError::connect(errno).to_string(), text);
    }
    let text = "unable to get local issuer certificate";
    assert_eq!(LastError::certificate(text).to_string(), format!("certificate: {text}"));
    assert_eq!(LastError::tls("no\n").to_string(), "tls: no ");
    assert_eq!(LastError::resolver("refused").to_string(), "cannot resolve the host: refused");
}

#[test]
fn messages_are_short_and_lower_case() {
    for (error, label, text) in [
        (LastError::HostNotFound, "host_not_found", "host not found"),
        (LastError::Denied, "denied", "address is denied by weir_push_deny"),
        (LastError::Loop, "loop", "would loop back to this server"),
        (LastError::Closed, "closed", "closed by the target"),
        (LastError::Reset, "reset", "connection reset"),
        (LastError::NotReading, "not_reading", "does not read: 0 bit/s for 10 s"),
    ] {
        assert_eq!((error.label(), error.to_string().as_str()), (label, text));
    }
}
