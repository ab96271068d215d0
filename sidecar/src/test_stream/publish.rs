//! One publish, from the connection to its end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::{sleep_until, timeout};
use weir_rtmp::client::ClientEvent;
use weir_rtmp::flv::Tag;
use weir_rtmp::url::Url;

use super::pace::{Pace, TOO_LATE};
use super::source::{Running, Source};
use super::{Error, say};
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted, words};
use crate::signals::Stop;

/// Time for ffmpeg to make the first frames, so that they are not late.
const HEAD_START: Duration = Duration::from_millis(700);

/// Publishes for `duration`, or until a signal arrives.
pub(super) async fn publish(
    url: &Url,
    source: &Source,
    duration: Option<Duration>,
    stop: &mut Stop,
) -> Result<(), Error> {
    let mut link = tokio::select! {
        link = Link::connect(url) => link?,
        () = stop.asked() => return Ok(()),
    };
    tokio::select! {
        accepted = timeout(PATIENCE, accepted(&mut link, url)) => match accepted {
            Ok(result) => result?,
            Err(_) => return Err(link.lost(format!("no answer to the publish in {} s", PATIENCE.as_secs())).into()),
        },
        () = stop.asked() => {
            link.finish().await;
            return Ok(());
        }
    }
    say(&format!("publishing to {url}, {}", source.summary()));
    let (clock, start) = next_second();
    let mut running = source.start(clock, duration)?;
    let result = tokio::select! {
        result = send(&mut link, &mut running, Pace::new(start)) => result,
        () = stop.asked() => Ok(()),
    };
    running.end().await;
    if !matches!(result, Err(Error::Publish(publisher::Error::Lost { .. }))) {
        link.finish().await;
    }
    result
}

/// Sends ffmpeg's output until it ends.
async fn send(link: &mut Link, running: &mut Running, mut pace: Pace) -> Result<(), Error> {
    let mut next: Option<(Tag, Instant)> = None;
    loop {
        while let Some(event) = link.client.next_event() {
            match event {
                ClientEvent::Status(status) if status.level == "error" => {
                    return Err(link.lost(words(&status)).into());
                }
                ClientEvent::Closed => return Err(link.lost("the server closed it").into()),
                _ => {}
            }
        }
        let due = next.as_ref().map_or_else(Instant::now, |(_, due)| *due);
        let room = link.has_room();
        tokio::select! {
            turn = link.turn() => turn?,
            () = sleep_until(due.into()), if next.is_some() && room => {
                if let Some((tag, due)) = next.take() {
                    if due.elapsed() > TOO_LATE {
                        return Err(Error::Local("this machine is too slow for the stream; try a smaller --size or --rate".into()));
                    }
                    link.client
                        .send_tag(tag.kind, tag.timestamp, &tag.payload)
                        .map_err(|e| link.lost(e.to_string()))?;
                }
            }
            tag = running.next_tag(), if next.is_none() => match tag? {
                Some(tag) => {
                    let due = pace.due(&tag);
                    next = Some((tag, due));
                }
                None => return Ok(()),
            },
        }
    }
}

/// Returns the next whole second after the head start of ffmpeg: as seconds since the epoch, and as a moment.
fn next_second() -> (u64, Instant) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = (now + HEAD_START).as_secs() + 1;
    (second, Instant::now() + (Duration::from_secs(second) - now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_on_a_whole_second_soon() {
        let (clock, start) = next_second();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let wait = start.saturating_duration_since(Instant::now());
        assert!(wait > HEAD_START / 2 && wait < HEAD_START + Duration::from_millis(1100), "{wait:?}");
        assert!((now + wait).abs_diff(Duration::from_secs(clock)) < Duration::from_millis(50));
    }
}
