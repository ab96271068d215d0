//! The first part of a token (RFC 7519): base64url of a JSON object, which may contain white space wherever JSON allows
//! it.

/// The most base64url characters that are examined: 36 bytes, for white space before the object's first name.
const MAX_LOOKED_AT: usize = 48;

/// Returns whether a token may begin with this character, which encodes `{`, a space, a tab, a line feed or a carriage
/// return.
pub(super) const fn may_begin(first: u8) -> bool {
    matches!(first, b'e' | b'I' | b'C' | b'D')
}

/// Returns whether text in base64url begins with an object that has a name: `{"`.
pub(super) fn is_object(text: impl Iterator<Item = u8>) -> bool {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut in_object = false;
    for sextet in text.take(MAX_LOOKED_AT).map_while(sextet) {
        (bits, held) = ((bits << 6 | u32::from(sextet)) & 0xffff, held + 6);
        if held < 8 {
            continue;
        }
        held -= 8;
        match (bits >> held) as u8 {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' if !in_object => in_object = true,
            byte => return in_object && byte == b'"',
        }
    }
    false
}

/// Returns the six bits of a character (RFC 4648, section 5).
fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}
