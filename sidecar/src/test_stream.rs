//! A stream to test with: colour bars, a wall clock, and each second a beep and a flash.
//!
//! ffmpeg makes it, as fast as it is asked to; the FLV that it writes is sent from here, each tag at the moment that its
//! frame's clock shows. So the clock is right whatever ffmpeg's start took, and the key is in no argument of any process.
//!
//! ffmpeg cannot outlive this process: nobody else reads its standard output, and it ends when that breaks.

use std::time::{Duration, Instant};

use crate::cli::TestStreamArgs;
use crate::publisher;
use crate::signals::Stop;
use source::Source;

mod error;
mod pace;
mod publish;
mod source;
mod target;

pub use error::Error;
use error::say;

/// The first and the longest pause before connecting anew.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Publishes until the duration is over or a signal comes; both are success.
pub async fn run(args: &TestStreamArgs) -> Result<(), Error> {
    let urls = target::targets(&args.url, args.key_file.as_deref())?;
    let mut readings = urls.iter();
    let mut url = readings.next().ok_or_else(|| Error::Usage("the URL names no stream".into()))?;
    let mut source = Source::new(args, url)?;
    let mut stop = Stop::new().map_err(|e| Error::Local(format!("no signals: {e}")))?;
    let begun = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let rest = args.duration.map(|span| span.0.saturating_sub(begun.elapsed()));
        if rest == Some(Duration::ZERO) {
            return Ok(());
        }
        let attempt = Instant::now();
        let error = match publish::publish(url, &source, rest, &mut stop).await {
            // Only the server knows where its application ends and the stream begins.
            Err(error @ Error::Publish(publisher::Error::NoApplication { .. })) => match readings.next() {
                Some(next) => {
                    source = Source::new(args, next)?;
                    url = next;
                    continue;
                }
                None => return Err(error),
            },
            Err(error) if args.reconnect && !error.is_permanent() => error,
            other => return other,
        };
        if attempt.elapsed() > 3 * PAUSES.1 {
            pause = PAUSES.0;
        }
        say(&format!("{error}; connecting again in {} s", pause.as_secs()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.asked() => return Ok(()),
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}
