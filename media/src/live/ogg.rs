//! Reads Opus in Ogg from ffmpeg's pipe (RFC 3533, RFC 7845): pages to packets with their times.

/// Maximum length of a page.
const MOST: usize = 65_307;
const HEAD: usize = 27;

/// The bytes are not Ogg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no page of Ogg where one should be")]
pub struct Broken;

/// A packet of Opus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// End time in samples at 48 kHz, according to the page.
    pub end: u64,
    /// Duration in samples at 48 kHz.
    pub samples: u32,
    /// The bytes in the form of RTP (RFC 7587).
    pub bytes: Vec<u8>,
}

/// Reads a stream of pages.
#[derive(Debug, Default)]
pub struct Reader {
    unread: Vec<u8>,
    partial: Vec<u8>,
    /// Number of the headers `OpusHead` and `OpusTags` that have been read.
    headers: u8,
}

impl Reader {
    /// Adds the next bytes, and returns the complete packets.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Packet>, Broken> {
        self.unread.extend(bytes);
        let mut packets = Vec::new();
        while let Some(length) = self.page(&mut packets)? {
            self.unread.drain(..length);
        }
        if self.unread.len() > MOST { Err(Broken) } else { Ok(packets) }
    }

    /// Reads the first page, if it is complete, and returns its length.
    fn page(&mut self, packets: &mut Vec<Packet>) -> Result<Option<usize>, Broken> {
        let Some((head, rest)) = self.unread.split_at_checked(HEAD) else { return Ok(None) };
        if !head.starts_with(b"OggS\0") {
            return Err(Broken);
        }
        let Some((table, mut body)) = rest.split_at_checked(usize::from(head[26])) else { return Ok(None) };
        let length: usize = table.iter().map(|size| usize::from(*size)).sum();
        if body.len() < length {
            return Ok(None);
        }
        let end = head[6..14].iter().rev().fold(0, |end, byte| end << 8 | u64::from(*byte));
        let begin = packets.len();
        for &size in table {
            let (piece, rest) = body.split_at(size.into());
            self.partial.extend(piece);
            body = rest;
            if size == 255 {
                continue;
            }
            let bytes = std::mem::take(&mut self.partial);
            if self.headers < 2 {
                self.headers += 1;
            } else if let Some(samples) = samples(&bytes) {
                packets.push(Packet { end, samples, bytes });
            }
        }
        // The page states the end of its last packet.
        let mut end = end;
        for packet in packets[begin..].iter_mut().rev() {
            packet.end = end;
            end = end.saturating_sub(packet.samples.into());
        }
        Ok(Some(HEAD + table.len() + length))
    }
}

/// Returns the duration of a packet, in samples at 48 kHz (RFC 6716, 3.1), or `None` for an empty packet.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    Some(frame * frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(end: u64, table: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = b"OggS\0\0".to_vec();
        out.extend(end.to_le_bytes());
        out.extend([0; 12]);
        out.push(table.len() as u8);
        out.extend(table);
        out.extend(body);
        out
    }

    #[test]
    fn packets_come_out_whole_with_their_times_however_the_bytes_come() {
        let packet = |n: u8| vec![0xfc, n, n];
        let mut all = page(0, &[2], b"OH");
        all.extend(page(0, &[255, 1], &[b'T'; 256]));
        all.extend(page(1920, &[3, 3], &[packet(1), packet(2)].concat()));
        all.extend(page(2880, &[3], &packet(3)));
        for step in [1, 7, 1000] {
            let mut reader = Reader::default();
            let packets: Vec<Packet> =
                all.chunks(step).flat_map(|bytes| reader.take(bytes).unwrap()).collect();
            let seen: Vec<_> = packets.iter().map(|packet| (packet.end, packet.bytes.clone())).collect();
            assert_eq!(seen, [(960, packet(1)), (1920, packet(2)), (2880, packet(3))], "{step}");
        }
    }

    #[test]
    fn what_is_no_ogg_is_said_and_lengths_are_read() {
        assert_eq!(Reader::default().take(&[0; 27]), Err(Broken));
        assert_eq!(
            [samples(&[0xfc]), samples(&[0x78]), samples(&[0xfb, 3]), samples(&[])],
            [Some(960), Some(960), Some(2880), None]
        );
    }
}
