//! The simple handshake, client side (specification, section 5.2).

/// Bytes of C1, S1, C2 and S2 each.
pub const PACKET: usize = 1536;

/// The only version there is.
const VERSION: u8 = 3;

/// Why a peer is no RTMP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its first byte is not the version.
    #[error("peer speaks version {0}, not rtmp 3")]
    Version(u8),
}

/// A handshake under way: C0 and C1 are out, S0, S1 and S2 are to come.
#[derive(Debug)]
pub struct Handshake {
    received: Vec<u8>,
    answered: bool,
}

impl Handshake {
    /// Begins; C0 and C1 go to `out`. `random` fills C1, over and over when it is short; nothing depends on its quality.
    pub fn new(random: &[u8], out: &mut Vec<u8>) -> Self {
        out.push(VERSION);
        // Time 0, and zeroes where clients of the handshake with a digest put their version.
        out.extend([0; 8]);
        let filler: &[u8] = if random.is_empty() { &[0] } else { random };
        out.extend(filler.iter().cycle().take(PACKET - 8));
        Self { received: Vec::with_capacity(1 + 2 * PACKET), answered: false }
    }

    /// Takes bytes from the peer, and writes C2 to `out` once S1 is there. Gives back what follows the handshake once it is
    /// complete, `None` before.
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
