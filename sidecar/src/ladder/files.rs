//! Writes the output of ffmpeg's socket to the shelf.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use weir_media::cmaf::{self, Piece, Splitter, fragment, init};

use super::ffmpeg::Output;
use super::readiness::Readiness;
use super::shelf::Shelf;
use crate::supervise::Shared;

/// Accepts one run of ffmpeg after another, for one track.
pub(crate) async fn serve(
    listener: UnixListener,
    shelf: Arc<Shelf>,
    track: usize,
    output: Output,
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, run) = (&*shared, shared.run());
        let sink = Sink { shelf: &shelf, track, run, ready: &ready, output: &output, shared };
        if let Err(why) = sink.drain(stream).await {
            // ffmpeg's next write fails, and the supervisor restarts ffmpeg.
            tracing::error!("rendition not written: {why}, rendition: {:?}", output.name);
        }
    }
}

struct Sink<'s> {
    shelf: &'s Shelf,
    track: usize,
    run: u64,
    ready: &'s Readiness,
    output: &'s Output,
    shared: &'s Shared,
}

impl Sink<'_> {
    async fn drain(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 32 << 10];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                n => {
                    self.shared.received(n);
                    splitter.feed(&buffer[..n]);
                }
            }
            while let Some(piece) = splitter.next_piece().map_err(invalid)? {
                self.take(piece).await?;
            }
        }
    }

    async fn take(&self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Init(bytes) => {
                let init = init::parse(&bytes).map_err(invalid)?;
                self.shelf.begin(self.track, self.run, init, init::brand(bytes)).await
            }
            Piece::Fragment(bytes) => {
                let fragment = fragment::parse(&bytes).map_err(invalid)?;
                if fragment.samples == 0 {
                    return Ok(());
                }
                self.shelf.push(self.track, self.run, fragment, bytes).await?;
                self.ready.playable(&self.output.name);
                Ok(())
            }
        }
    }
}

fn invalid(error: cmaf::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
