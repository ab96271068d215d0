//! Hides secrets of RTMP URLs in log lines of other programs.

/// The replacement of a secret.
const MASK: &[u8] = b"/***";
/// Minimum length of a hidden part of a secret; nginx-rtmp cuts long ones.
const SHORTEST: usize = 8;

/// Returns the line without a secret, or without the part of it that nginx-rtmp has left. Returns `None` if the line
/// contains no secret.
#[must_use]
pub fn without(line: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let (first, least) = (*secret.first()?, SHORTEST.min(secret.len()));
    let shared = |at: usize| {
        line[at..].iter().zip(secret).take_while(|(of_line, of_secret)| of_line == of_secret).count()
    };
    let (mut clean, mut read, mut at) = (Vec::new(), 0, 0);
    while let Some(offset) = line[at..].iter().position(|byte| *byte == first) {
        let start = at + offset;
        let length = shared(start);
        if length < least {
            at = start + 1;
            continue;
        }
        clean.extend_from_slice(&line[read..start]);
        clean.extend_from_slice(MASK);
        at = start + length;
        read = at;
    }
    if read == 0 {
        return None;
    }
    clean.extend_from_slice(&line[read..]);
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_secret_is_hidden_where_nginx_rtmp_cuts_it_too() {
        for (line, clean) in [
            ("push 'a' to 'rtmp://h/live/secret'", Some("push 'a' to 'rtmp://h/***'")),
            ("url='h/live/secret', url='h/live/sec'\n", Some("url='h/***', url='h/***'\n")),
            ("url='h/live' /x", None),
            ("/live/secret", Some("/***")),
            ("/live//live/secret/live/sec", Some("/live//***/***")),
            ("", None),
        ] {
            let clean = clean.map(|clean| clean.as_bytes().to_vec());
            assert_eq!(without(line.as_bytes(), b"/live/secret"), clean, "{line}");
        }
        assert_eq!(without(b"url='h?key'", b"?key"), Some(b"url='h/***'".to_vec()));
        assert_eq!(without(b"url='h?key'", b""), None);
    }
}
