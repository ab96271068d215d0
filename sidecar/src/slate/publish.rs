//! Publishes the slate until its time is over, or until nginx closes the connection because of another publisher.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use weir_rtmp::client::ClientEvent;
use weir_rtmp::url::Url;

use super::clip::Clip;
use crate::config::RtmpServer;
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{Error, accepted};

/// Reason of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The slate's time was over.
    Over,
    /// nginx closed the connection.
    GaveWay,
}

/// Error of a `server` block that listens only on a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream's server block listens on {0}")]
pub(crate) struct NoAddress(String);

/// Returns the address of the `server` block whose first address is `block`. `known` is the configured block of the same nginx.
pub(crate) fn server(known: &RtmpServer, block: &str) -> Result<RtmpServer, NoAddress> {
    if block.is_empty() {
        return Ok(known.clone());
    }
    let address: SocketAddr = block.parse().map_err(|_| NoAddress(block.to_owned()))?;
    let host = match address.ip() {
        any if any.is_unspecified() => known.host.clone(),
        ip => ip.to_string(),
    };
    Ok(RtmpServer { host, port: address.port() })
}

/// Connects and begins the publish. Returns an error if nginx does not accept the stream.
pub(crate) async fn begin(url: &Url) -> Result<Link, Error> {
    let mut link = Link::connect(url).await?;
    match timeout(PATIENCE, accepted(&mut link, url)).await {
        Ok(result) => result.map(|()| link),
        Err(_) => Err(link.lost("no answer to the publish")),
    }
}

/// Sends the clip repeatedly. The first timestamp is `from`.
pub(crate) async fn publish(mut link: Link, clip: &Clip, from: u32, until: Instant) -> End {
    let end = send(&mut link, clip, from, until).await.unwrap_or(End::GaveWay);
    if end == End::Over {
        link.finish().await;
    }
    end
}

async fn send(link: &mut Link, clip: &Clip, from: u32, until: Instant) -> Result<End, Error> {
    let failed = |link: &Link, error: weir_rtmp::client::Error| link.lost(error.to_string());
    for tag in &clip.headers {
        link.client.send_tag(tag.kind, from, &tag.payload).map_err(|error| failed(link, error))?;
    }
    let start = Instant::now();
    let mut n = 0;
    loop {
        while let Some(event) = link.client.next_event() {
            match event {
                ClientEvent::Status(status) if status.level == "error" => return Ok(End::GaveWay),
                ClientEvent::Closed => return Ok(End::GaveWay),
                _ => {}
            }
        }
        let (at, tag) = clip.frame(n);
        let due = start + Duration::from_millis(at);
        let room = link.has_room();
        tokio::select! {
            turn = link.turn() => turn?,
            () = sleep_until(until) => return Ok(End::Over),
            () = sleep_until(due), if room => {
                // RTMP timestamps wrap after 49 days.
                let timestamp = from.wrapping_add(at as u32);
                link.client.send_tag(tag.kind, timestamp, &tag.payload).map_err(|error| failed(link, error))?;
                n += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slate_goes_to_the_block_of_its_stream() {
        let known = RtmpServer { host: "media.example".into(), port: 1935 };
        let at = |block: &str| server(&known, block).map(|server| (server.host, server.port));
        assert_eq!(at(""), Ok(("media.example".into(), 1935)));
        assert_eq!(at("0.0.0.0:1936"), Ok(("media.example".into(), 1936)));
        assert_eq!(at("[::]:1936"), Ok(("media.example".into(), 1936)));
        assert_eq!(at("192.0.2.7:1937"), Ok(("192.0.2.7".into(), 1937)));
        assert_eq!(at("[2001:db8::1]:1937"), Ok(("2001:db8::1".into(), 1937)));
        assert!(at("unix:/run/rtmp.sock").is_err());
    }
}
