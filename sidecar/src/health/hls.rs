//! An HLS stream: whether its playlists advance and their last segments load.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{AGE, DATE, HeaderMap, HeaderName, LAST_MODIFIED};

use super::web::{Web, WebUrl};
use super::{Step, shown};
use crate::clock::http_date;
use crate::http::innermost;
use playlist::{Media, Playlist};

mod playlist;

/// A longer playlist is none.
const MAX_PLAYLIST: usize = 1 << 20;
/// So much of a segment is read: that the rest comes as well is TCP's business.
const ENOUGH: usize = 64 << 10;
/// More variants than these are not looked at.
const MAX_VARIANTS: usize = 16;
/// Between two looks at a playlist: at least and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A media playlist, or each that a master playlist lists. It advances when it changed within `max_age` (three target
/// durations) by the server's own clock. Where the server does not say when it changed, it is looked at until it does.
pub async fn check(step: &Step, url: &WebUrl, max_age: Option<Duration>) -> Result<String, String> {
    let look = Look { web: Web::default(), step, max_age };
    step.is("playlist");
    let (headers, text) = look.text(url).await?;
    match playlist::read(&text)? {
        Playlist::Media(media) => look.media(url, &headers, media).await,
        Playlist::Master { variants } => {
            for uri in variants.iter().take(MAX_VARIANTS) {
                let variant = url.join(uri).ok_or("a variant has no valid URL")?;
                look.variant(&variant).await.map_err(|why| format!("{}: {why}", variant.file()))?;
            }
            Ok(format!("{} playlists are advancing; their last segments are available", variants.len()))
        }
    }
}

struct Look<'a> {
    web: Web,
    step: &'a Step,
    max_age: Option<Duration>,
}

impl Look<'_> {
    async fn variant(&self, url: &WebUrl) -> Result<String, String> {
        self.step.is("playlist of a variant");
        let (headers, text) = self.text(url).await?;
        match playlist::read(&text)? {
            Playlist::Media(media) => self.media(url, &headers, media).await,
            Playlist::Master { .. } => Err("a master playlist inside another".into()),
        }
    }

    async fn media(&self, url: &WebUrl, headers: &HeaderMap, media: Media) -> Result<String, String> {
        if media.ended {
            return Err("the stream has ended".into());
        }
        let oldest = self.max_age.unwrap_or(media.target * 3).max(Duration::from_secs(1));
        let media = match age(headers) {
            Some(age) if age > oldest => {
                return Err(format!(
                    "playlist is stale: last change {} ago, target duration {}",
                    shown(age),
                    shown(media.target)
                ));
            }
            Some(_) => media,
            None => self.next(url, media).await?,
        };
        self.step.is("complete last segment");
        let uri = media.segments.last().map(String::as_str).unwrap_or_default();
        let segment = url.join(uri).ok_or("the last segment has no valid URL")?;
        let loaded = self.load(&segment).await.map_err(|why| format!("{}: {why}", segment.file()))?;
        match loaded {
            0 => Err(format!("{} is empty", segment.file())),
            _ => Ok(format!("playlist is advancing; last segment {} is available", segment.file())),
        }
    }

    /// The same playlist, once it goes further.
    async fn next(&self, url: &WebUrl, media: Media) -> Result<Media, String> {
        let pause = (media.target / 4).clamp(PAUSES.0, PAUSES.1);
        self.step.is(
            "change of the playlist (the server sends no Last-Modified: use a --timeout longer than a segment)",
        );
        loop {
            tokio::time::sleep(pause).await;
            match playlist::read(&self.text(url).await?.1)? {
                Playlist::Media(next) if next.ended => return Err("the stream has ended".into()),
                Playlist::Media(next) if next.is_after(&media) => return Ok(next),
                _ => {}
            }
        }
    }

    async fn text(&self, url: &WebUrl) -> Result<(HeaderMap, String), String> {
        let response = self.web.get_ok(url).await?;
        let headers = response.headers().clone();
        let body = body(response, MAX_PLAYLIST).await?;
        Ok((headers, String::from_utf8(body).map_err(|_| "not a playlist: invalid UTF-8")?))
    }

    async fn load(&self, url: &WebUrl) -> Result<usize, String> {
        Ok(body(self.web.get_ok(url).await?, ENOUGH).await?.len())
    }
}

/// The body, or as much of it as reaches `enough` bytes.
async fn body(mut response: Response, enough: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while body.len() < enough {
        match response.chunk().await.map_err(|e| format!("incomplete response: {}", innermost(&e)))? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(body)
}

/// How long ago an answer's content changed, by its own headers: the clock here does not matter (RFC 9110).
fn age(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let time = |name| http_date(text(name)?);
    let changed = time(LAST_MODIFIED)?.as_millis();
    let cached = text(AGE).and_then(|age| age.trim().parse::<u32>().ok()).unwrap_or_default();
    let age = Duration::from_millis(time(DATE)?.as_millis().saturating_sub(changed));
    Some(age + Duration::from_secs(cached.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_an_answer_is_by_its_own_clock() {
        let headers = |pairs: &[(HeaderName, &str)]| {
            pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        let date = (DATE, "Fri, 20 Nov 2026 18:00:07 GMT");
        let changed = (LAST_MODIFIED, "Fri, 20 Nov 2026 18:00:00 GMT");
        let seconds = |pairs: &[_]| age(&headers(pairs)).map(|age| age.as_secs());
        assert_eq!(seconds(&[date.clone(), changed.clone()]), Some(7));
        assert_eq!(seconds(&[date.clone(), changed.clone(), (AGE, "3")]), Some(10));
        assert_eq!(seconds(&[changed, (DATE, "Fri, 20 Nov 2026 17:59:59 GMT")]), Some(0));
        assert_eq!(seconds(std::slice::from_ref(&date)), None);
        assert_eq!(seconds(&[date, (LAST_MODIFIED, "yesterday")]), None);
    }
}
