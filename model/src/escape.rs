//! Strict decoder of `%XX` (RFC 3986, section 2.1): it rejects escapes that are not well-formed.

use data_encoding::HEXLOWER_PERMISSIVE;

/// Returns the byte that the `%XX` at the beginning of a text encodes.
pub(crate) fn leading(text: &[u8]) -> Option<u8> {
    let [b'%', digits @ ..] = text else { return None };
    let mut byte = [0];
    HEXLOWER_PERMISSIVE.decode_mut(digits.get(..2)?, &mut byte).ok()?;
    Some(byte[0])
}

/// Returns the text with each `%XX` decoded, or `None` if two hex digits do not follow a `%`.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        left = if *first == b'%' {
            bytes.push(leading(left)?);
            &rest[2..]
        } else {
            bytes.push(*first);
            rest
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_formed_is_nothing() {
        assert_eq!(decoded("a%20b%2Fc%c3%a4"), Some("a b/cä".into()));
        for wrong in ["%", "%2", "a%zz", "%+1", "%%20"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
