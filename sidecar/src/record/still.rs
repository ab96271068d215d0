//! Splits consecutive JPEGs, and writes each of them to one file, which it replaces atomically.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

use crate::files::PUBLISHED;
use crate::supervise::Shared;

/// Largest still, in bytes.
const MAX_STILL: usize = 16 << 20;

/// Splits bytes, in pieces of any size, into JPEGs.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    buffer: Vec<u8>,
    looked_at: usize,
}

impl Cutter {
    /// Takes bytes. Call [`next_still`](Self::next_still) afterwards until it returns `None`.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the bytes up to the next end-of-image marker. The marker cannot occur in coded data, where 0xff is followed by 0.
    pub(crate) fn next_still(&mut self) -> Option<Vec<u8>> {
        let from = self.looked_at.saturating_sub(1);
        let found = self.buffer.get(from..)?.windows(2).position(|pair| pair == [0xff, 0xd9]);
        let Some(at) = found else {
            self.looked_at = self.buffer.len();
            return None;
        };
        self.looked_at = 0;
        Some(self.buffer.drain(..from + at + 2).collect())
    }
}

/// Accepts one run of ffmpeg after another.
pub(crate) async fn serve(listener: UnixListener, path: PathBuf, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if let Err(error) = drain(stream, &path, &shared).await {
            tracing::error!("thumbnail not written: {error}, file: {path:?}");
        }
    }
}

async fn drain(mut stream: UnixStream, path: &std::path::Path, shared: &Shared) -> io::Result<()> {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; 32 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => {
                shared.received(n);
                cutter.feed(&buffer[..n]);
            }
        }
        while let Some(still) = cutter.next_still() {
            replace(path.to_owned(), still).await?;
            shared.set_ready();
        }
        if cutter.buffer.len() > MAX_STILL {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no JPEG ends"));
        }
    }
}

/// Replaces the still atomically: readers see the old or the new one.
async fn replace(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    let write = move || {
        if let Some(folder) = path.parent() {
            PUBLISHED.make_folder(folder)?;
        }
        let unfinished = path.with_extension("jpg.new");
        PUBLISHED.replace(&path, &unfinished, &bytes)
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stills_are_told_apart_wherever_they_are_cut() {
        let one = [0xff, 0xd8, 1, 2, 0xff, 0, 0xd9, 3, 0xff, 0xd9];
        let two = [0xff, 0xd8, 9, 0xff, 0xd9];
        let all = [&one[..], &two[..], &[0xff, 0xd8, 7]].concat();
        for step in [1, 3, 100] {
            let mut cutter = Cutter::default();
            let mut stills = Vec::new();
            for bytes in all.chunks(step) {
                cutter.feed(bytes);
                stills.extend(std::iter::from_fn(|| cutter.next_still()));
            }
            assert_eq!(stills, [one.to_vec(), two.to_vec()], "{step}");
        }
    }
}
