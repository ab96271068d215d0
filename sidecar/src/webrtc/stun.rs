//! Finds the session of a packet from an unknown address (RFC 8489, RFC 8445).

const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 1;
const USERNAME: u16 = 6;

/// Returns the local ICE name of a binding request: the part of its user name before the colon.
pub(super) fn local_ufrag(packet: &[u8]) -> Option<&str> {
    let (head, mut rest) = packet.split_at_checked(20)?;
    let &[t1, t0, _, _, m3, m2, m1, m0, ..] = head else { return None };
    if u16::from_be_bytes([t1, t0]) != BINDING_REQUEST || [m3, m2, m1, m0] != MAGIC {
        return None;
    }
    while let Some((&[k1, k0, l1, l0], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        let value = after.get(..length)?;
        if u16::from_be_bytes([k1, k0]) == USERNAME {
            let (local, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return Some(local);
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_name_of_a_binding_request_is_found_and_nothing_else() {
        let mut packet = vec![0, 1, 0, 24];
        packet.extend(MAGIC);
        packet.extend([0; 12]);
        packet.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0]);
        packet.extend([0, 6, 0, 7]);
        packet.extend(b"here:me\0");
        assert_eq!(local_ufrag(&packet), Some("here"));
        for end in 0..packet.len() - 1 {
            assert_eq!(local_ufrag(&packet[..end]), None, "{end}");
        }
        packet[1] = 2;
        assert_eq!(local_ufrag(&packet), None);
    }
}
