//! The simple handshake, client side (specification, section 5.2).

/// Length of C1, S1, C2 and S2, in bytes.
pub const PACKET: usize = 1536;

/// The only RTMP version.
const VERSION: u8 = 3;

/// Why a peer is not an RTMP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its first byte is not the version.
    #[error("peer speaks version {0}, not rtmp 3")]
    Version(u8),
}

/// A handshake in progress: C0 and C1 are sent, and S0, S1 and S2 must follow.
#[derive(Debug)]
pub struct Handshake {
    received: Vec<u8>,
    answered: bool,
}

impl Handshake {
    /// Begins the handshake and writes C0 and C1 to `out`. `random` fills C1, and is repeated if it is too short; its
    /// quality does not matter.
    pub fn new(random: &[u8], out: &mut Vec<u8>) -> Self {
        out.push(VERSION);
        // Time 0, and zeros at the position of the version in the handshake with a digest.
        out.extend([0; 8]);
        let filler: &[u8] = if random.is_empty() { &[0] } else { random };
        out.extend(filler.iter().cycle().take(PACKET - 8));
        Self { received: Vec::with_capacity(1 + 2 * PACKET), answered: false }
    }

    /// Processes bytes from the peer, and writes C2 to `out` once S1 has arrived. Returns the bytes after the handshake
    /// once it is complete, `None` before.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.received.extend_from_slice(bytes);
        match self.received.first() {
            Some(&VERSION) | None => {}
            Some(&other) => return Err(Error::Version(other)),
        }
        if !self.answered && self.received.len() > PACKET {
            out.extend_from_slice(&self.received[1..=PACKET]);
            self.answered = true;
        }
        let whole = 1 + 2 * PACKET;
        Ok((self.received.len() >= whole).then(|| self.received.split_off(whole)))
    }
}
