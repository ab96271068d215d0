//! Checks an HLS stream: its playlists must advance, and their last segments must load.

use std::time::Duration;

use reqwest::header::{AGE, DATE, HeaderMap, HeaderName, LAST_MODIFIED};
use reqwest::{Response, StatusCode};

use super::web::{self, Papers, Web, WebUrl};
use super::{Step, shown};
use crate::clock::http_date;
use crate::http::innermost;
use playlist::{Media, Playlist};

mod playlist;

/// Longest playlist, in bytes.
const MAX_PLAYLIST: usize = 1 << 20;
/// Bytes of a segment that are read. TCP delivers the rest in the same way.
const ENOUGH: usize = 64 << 10;
/// Most variants that are checked.
const MAX_VARIANTS: usize = 16;
/// Shortest and longest time between two reads of a playlist.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Reason why a stream is not healthy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The server does not deliver the file.
    #[error(transparent)]
    Web(#[from] web::Error),
    /// The server refuses, and advice.
    #[error("answered {status}: {remedy}")]
    Refused {
        /// 401 or 403.
        status: StatusCode,
        /// Advice.
        remedy: &'static str,
    },
    /// The answer is not a playlist.
    #[error("{0}")]
    Playlist(&'static str),
    /// The answer is not text.
    #[error("not a playlist: invalid UTF-8")]
    NotText,
    /// The error is in a variant or a segment.
    #[error("{file}: {why}")]
    Of {
        /// Name of the file.
        file: String,
        /// Error of the file.
        why: Box<Error>,
    },
    /// The URL of a variant is invalid, for example without a host.
    #[error("a variant has no valid URL")]
    VariantAddress,
    /// The URL of the last segment is invalid.
    #[error("the last segment has no valid URL")]
    SegmentAddress,
    /// A master playlist lists a master playlist; RFC 8216 allows two levels only.
    #[error("a master playlist inside another")]
    Nested,
    /// The playlist marks the end of the stream.
    #[error("the stream has ended")]
    Ended,
    /// The playlist does not advance.
    #[error("playlist is stale: last change {} ago, target duration {}", shown(*.age), shown(*.target))]
    Stale {
        /// Age of the last change by the server's clock.
        age: Duration,
        /// Target duration: the longest segment.
        target: Duration,
    },
    /// A segment is empty.
    #[error("{0} is empty")]
    Empty(String),
}

impl Error {
    fn of(self, url: &WebUrl) -> Self {
        Self::Of { file: url.file().to_owned(), why: Box::new(self) }
    }
}

/// Checks a media playlist, or each playlist that a master playlist lists. A playlist advances if it has changed within `max_age` (three
/// target durations) by the server's own clock. If the server does not send the time of the change, the check reads the playlist until it
/// changes.
pub(crate) async fn check(
    step: &Step,
    url: &WebUrl,
    max_age: Option<Duration>,
    papers: &Papers,
) -> Result<String, Error> {
    let remedy = match papers.token {
        Some(_) => {
            "the token of --token-file does not open it: it may have expired, be revoked, or be for another stream"
        }
        None => "if it is protected, give a play token with --token-file",
    };
    let look = Look { web: Web::showing(url, papers), step, max_age, remedy };
    step.is("playlist");
    let (headers, text) = look.text(url).await?;
    match playlist::read(&text).map_err(Error::Playlist)? {
        Playlist::Media(media) => look.media(url, &headers, media).await,
        Playlist::Master { variants } => {
            for uri in variants.iter().take(MAX_VARIANTS) {
                let variant = url.join(uri).ok_or(Error::VariantAddress)?;
                look.variant(&variant).await.map_err(|why| why.of(&variant))?;
            }
            Ok(match variants.len() {
                1 => "1 playlist is advancing; its last segment is available".to_owned(),
                many => format!("{many} playlists are advancing; their last segments are available"),
            })
        }
    }
}

struct Look<'a> {
    web: Web,
    step: &'a Step,
    max_age: Option<Duration>,
    /// Advice for a refusal.
    remedy: &'static str,
}

impl Look<'_> {
    async fn variant(&self, url: &WebUrl) -> Result<String, Error> {
        self.step.is("playlist of a variant");
        let (headers, text) = self.text(url).await?;
        match playlist::read(&text).map_err(Error::Playlist)? {
            Playlist::Media(media) => self.media(url, &headers, media).await,
            Playlist::Master { .. } => Err(Error::Nested),
        }
    }

    async fn media(&self, url: &WebUrl, headers: &HeaderMap, media: Media) -> Result<String, Error> {
        if media.ended {
            return Err(Error::Ended);
        }
        let oldest = self.max_age.unwrap_or(media.target * 3).max(Duration::from_secs(1));
        let media = match age(headers) {
            Some(age) if age > oldest => {
                return Err(Error::Stale { age, target: media.target });
            }
            Some(_) => media,
            None => self.next(url, media).await?,
        };
        self.step.is("complete last segment");
        let uri = media.segments.last().map(String::as_str).unwrap_or_default();
        let segment = url.join(uri).ok_or(Error::SegmentAddress)?;
        let loaded = self.load(&segment).await.map_err(|why| why.of(&segment))?;
        match loaded {
            0 => Err(Error::Empty(segment.file().to_owned())),
            _ => Ok(format!("playlist is advancing; last segment {} is available", segment.file())),
        }
    }

    /// Returns the same playlist after its next change.
    async fn next(&self, url: &WebUrl, media: Media) -> Result<Media, Error> {
        let pause = (media.target / 4).clamp(PAUSES.0, PAUSES.1);
        self.step.is(
            "change of the playlist (the server sends no Last-Modified: use a --timeout longer than a segment)",
        );
        loop {
            tokio::time::sleep(pause).await;
            match playlist::read(&self.text(url).await?.1).map_err(Error::Playlist)? {
                Playlist::Media(next) if next.ended => return Err(Error::Ended),
                Playlist::Media(next) if next.is_after(&media) => return Ok(next),
                _ => {}
            }
        }
    }

    async fn text(&self, url: &WebUrl) -> Result<(HeaderMap, String), Error> {
        let response = self.get(url).await?;
        let headers = response.headers().clone();
        let body = body(response, MAX_PLAYLIST).await?;
        Ok((headers, String::from_utf8(body).map_err(|_| Error::NotText)?))
    }

    async fn load(&self, url: &WebUrl) -> Result<usize, Error> {
        Ok(body(self.get(url).await?, ENOUGH).await?.len())
    }

    async fn get(&self, url: &WebUrl) -> Result<Response, Error> {
        self.web.get_ok(url).await.map_err(|error| match error {
            web::Error::Answered(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                Error::Refused { status, remedy: self.remedy }
            }
            error => error.into(),
        })
    }
}

/// Returns the body, or its beginning of at least `enough` bytes.
async fn body(mut response: Response, enough: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while body.len() < enough {
        match response.chunk().await.map_err(|e| web::Error::CutOff(innermost(&e)))? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(body)
}

/// Returns the time since an answer's content changed, from the answer's own headers. The local clock does not matter (RFC 9110).
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
