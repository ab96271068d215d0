//! A test stream: colour bars, a wall clock, and a beep and a flash every second.
//!
//! ffmpeg makes the stream as fast as the daemon reads it. The daemon sends each FLV tag at the moment that the frame's clock shows. So
//! the clock is right, however long ffmpeg needs to start, and the stream key is in no argument of any process.
//!
//! ffmpeg cannot outlive this process, because only this process reads its standard output, and ffmpeg ends when the pipe breaks.

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

pub(crate) use error::Error;
use error::say;

/// First and longest pause before a new connection.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Publishes until the duration is over or a signal arrives. Both are success.
pub(crate) async fn run(args: &TestStreamArgs) -> Result<(), Error> {
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
            // Only the server knows where its application's name ends and the stream's name begins.
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
