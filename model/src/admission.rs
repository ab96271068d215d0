//! Reads the answers of the programs that nginx-rtmp asks whether a client may connect, publish or play: `on_connect`,
//! `on_publish`, `on_play`.

use std::fmt;

/// The answer of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The program admits the client.
    Yes,
    /// The program redirects the client to the value of `Location`.
    Redirect(String),
    /// The program refuses the client, or fails.
    No(u16),
    /// The program does not answer, or does not answer in HTTP.
    None,
}

/// Why a program's answer refuses a client. Displays as the reason, to be written after the name of the directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The program answered with this HTTP status.
    Status(u16),
    /// The program could not be reached, did not answer in time, or did not answer in HTTP.
    NoAnswer,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Status(status) => write!(f, "answered with status {status}"),
            Denial::NoAnswer => f.write_str("does not answer"),
        }
    }
}

/// Reads an HTTP answer as nginx-rtmp does (`ngx_rtmp_notify_parse_http_retcode`): the first digit of the
/// status decides.
pub fn read(answer: &[u8]) -> Answer {
    let head = answer.get(9..12).unwrap_or_default();
    let status = std::str::from_utf8(head).ok().and_then(|digits| digits.parse::<u16>().ok());
    match (answer.get(9), status) {
        (Some(b'2'), _) => Answer::Yes,
        (Some(b'3'), _) => location(answer).map_or(Answer::Yes, Answer::Redirect),
        (Some(b'0'..=b'9'), status) => Answer::No(status.unwrap_or_default()),
        _ => Answer::None,
    }
}

/// Returns the value of the header `Location`, if there is one.
fn location(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let header = text.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    header.filter(|value| !value.is_empty())
}

/// Returns whether a redirect names another server to push to or to pull from, rather than another stream.
pub fn is_relay(location: &str) -> bool {
    location.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtmp://"))
}

/// Returns the part after the host in a redirect to another server: the application, and often a stream key. Returns
/// `None` if nothing follows the host.
pub fn path_of(location: &str) -> Option<&str> {
    let rest = location.get(7..).filter(|_| is_relay(location))?;
    let path = &rest[rest.find(['/', '?'])?..];
    (path.len() > 1).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_nginx_rtmp_reads_them() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Answer::Yes),
            ("HTTP/1.0 204", Answer::Yes),
            (
                "HTTP/1.1 302 Found\r\nServer: x\r\nlocation:  other \r\n\r\n",
                Answer::Redirect("other".into()),
            ),
            ("HTTP/1.1 302 Found\r\nLocation: rtmp://h/a\r\n", Answer::Redirect("rtmp://h/a".into())),
            ("HTTP/1.1 302 Found\r\n\r\nLocation: body", Answer::Yes),
            ("HTTP/1.1 302 Found\r\nLocation:\r\n\r\n", Answer::Yes),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", Answer::No(403)),
            ("HTTP/1.1 502", Answer::No(502)),
            ("HTTP/1.1 5x", Answer::No(0)),
            ("HTTP/1.1 ", Answer::None),
            ("", Answer::None),
            ("SSH-2.0-OpenSSH", Answer::None),
        ] {
            assert_eq!(read(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn a_redirect_to_a_server_is_told_from_one_to_a_name() {
        assert!(is_relay("rtmp://192.0.2.1/live/x") && is_relay("RTMP://h"));
        assert!(!is_relay("other") && !is_relay("rtmp") && !is_relay("http://h/x"));
    }

    #[test]
    fn the_path_of_a_redirect_follows_the_host() {
        for (location, path) in [
            ("rtmp://h/live/key", Some("/live/key")),
            ("RTMP://h:1935/live/key?x=/y", Some("/live/key?x=/y")),
            ("rtmp://[::1]:1935?key", Some("?key")),
            ("rtmp://h/", None),
            ("rtmp://h", None),
            ("other/key", None),
        ] {
            assert_eq!(path_of(location), path, "{location}");
        }
    }
}
