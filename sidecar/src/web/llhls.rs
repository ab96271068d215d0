//! `/stream/APP/NAME/llhls/...`: Low-Latency HLS (RFC 8216bis).

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use weir_media::live::hls::{Found, Shelf, TARGET_S};
use weir_model::playback::rewrite::{PlaylistFormat, Rewriter};

use super::access::Admitted;
use super::common::Web;
use super::renditions::{address, family};
use super::{answer, compress};
use crate::live::station::{Liveness, Station};
use crate::streams::StreamId;

/// Maximum wait of a blocking request (RFC 8216bis, 6.2.5.2: three target durations).
const PATIENCE: Duration = Duration::from_secs(3 * TARGET_S);
/// Maximum wait for the first media of a rendition, and for the first segment of a playlist.
const BEGINNING: Duration = Duration::from_secs(4);
/// Argument with which a player asks for a playlist without a complete segment, because it begins with a part.
const PARTS: &str = "parts";
/// Bitrate in bit/s that is announced until it is known.
const USUAL_RATE: u64 = 3_000_000;

/// A request and its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub file: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub client: IpAddr,
}

impl Asked<'_> {
    /// Returns a number per viewer, with nginx's rule: by the name of the token, otherwise by address and user agent.
    fn who(&self, admitted: &Admitted) -> u64 {
        let mut hasher = DefaultHasher::new();
        match &admitted.pass {
            Some(pass) => pass.session().hash(&mut hasher),
            None => {
                self.client.hash(&mut hasher);
                self.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    fn begins_with_a_part(&self) -> bool {
        self.argument(PARTS) == Some("1")
    }

    fn argument(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Time that caches may keep an answer.
#[derive(Clone, Copy, Debug)]
enum Keep {
    /// For the current playlist.
    Briefly,
    /// For a playlist that requests wait for: it is the same for all of them.
    Awaited,
    /// For a file that never changes.
    Long,
}

/// Answers a request for one file.
pub(super) async fn get(web: &Web, id: &StreamId, asked: &Asked<'_>, admitted: Admitted) -> Response {
    let Some(station) = web.hub.station(id) else { return answer::not_live() };
    let found = match asked.file {
        "master.m3u8" => {
            let text = master(web, id, &station, asked.begins_with_a_part()).await;
            text.map(|text| playlist(text, asked, &admitted, Keep::Briefly))
        }
        "index.m3u8" => index(&station, asked).await.map(|(mut text, keep)| {
            reports(web, id, &mut text);
            playlist(text, asked, &admitted, keep)
        }),
        file => media(&station, file).await.map(|pieces| body(pieces, "video/mp4")),
    };
    let mut response = match found {
        Ok(response) => {
            // A client without a successful answer does not count as a viewer.
            station.ask(asked.who(&admitted));
            response
        }
        Err(error) => error.answer().await,
    };
    // An answer that requires a token may only be cached by the viewer.
    if admitted.pass.is_some()
        && let Some(cache) = response.headers_mut().get_mut(header::CACHE_CONTROL)
        && let Ok(private) = cache.to_str().unwrap_or_default().replace("public", "private").parse()
    {
        *cache = private;
    }
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Reason why a request fails.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is nothing at this address")]
    Nowhere,
    #[error("_HLS_msn and _HLS_part: not numbers, or too far ahead")]
    BadRequest,
    #[error("the stream has brought nothing in time")]
    Late,
}

impl Error {
    async fn answer(&self) -> Response {
        match self {
            Self::Nowhere => answer::nothing_here().await,
            Self::BadRequest => answer::error(StatusCode::BAD_REQUEST, "bad_request", &self.to_string()),
            Self::Late => answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &self.to_string()),
        }
    }
}

async fn master(web: &Web, id: &StreamId, station: &Arc<Station>, parts: bool) -> Result<String, Error> {
    let with = |address: &str| if parts { format!("{address}?{PARTS}=1") } else { address.to_owned() };
    let others = family(&web.context.config(), &web.board, id);
    // All renditions start before the first wait.
    let others: Vec<_> = others
        .into_iter()
        .filter(|one| one != id)
        .filter_map(|one| Some((address(id, &one), web.hub.station(&one)?)))
        .collect();
    let mut text = "#EXTM3U\n#EXT-X-VERSION:9\n".to_owned();
    variant(&mut text, &with("index.m3u8"), station, PATIENCE).await.ok_or(Error::Late)?;
    for (address, station) in others {
        // A rendition without media is left out.
        let _ = variant(&mut text, &with(&address), &station, BEGINNING).await;
    }
    Ok(text)
}

/// Adds a rendition to the playlist.
async fn variant(text: &mut String, address: &str, station: &Arc<Station>, patience: Duration) -> Option<()> {
    let ready = station.look(patience, |shelf, _| shelf.is_ready().then(|| shelf.bandwidth())).await;
    let (peak, average) = ready?.unwrap_or((USUAL_RATE, USUAL_RATE));
    let about = station.start()?;
    let codecs = &about.about.codecs;
    let _ =
        write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\"");
    if let Some((width, height)) = about.about.size {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
    }
    let _ = writeln!(text, "\n{address}");
    Some(())
}

/// Adds the newest part of each other rendition (RFC 8216bis, 4.4.5.4). All of them are kept ready, so that a player can change.
fn reports(web: &Web, id: &StreamId, text: &mut String) {
    if text.ends_with("#EXT-X-ENDLIST\n") {
        return;
    }
    for other in family(&web.context.config(), &web.board, id).into_iter().filter(|other| other != id) {
        let newest = web.hub.station(&other).and_then(|station| station.newest_part());
        if let Some((number, part)) = newest {
            let address = address(id, &other);
            let _ = writeln!(
                text,
                "#EXT-X-RENDITION-REPORT:URI=\"{address}\",LAST-MSN={number},LAST-PART={part}"
            );
        }
    }
}

async fn index(station: &Arc<Station>, asked: &Asked<'_>) -> Result<(String, Keep), Error> {
    let number = |name| asked.argument(name).map(|text| text.parse::<u64>().map_err(|_| Error::BadRequest));
    let (msn, part) = (number("_HLS_msn").transpose()?, number("_HLS_part").transpose()?);
    let part = part.map(|part| usize::try_from(part).unwrap_or(usize::MAX));
    let skips = matches!(asked.argument("_HLS_skip"), Some("YES" | "v2"));
    let Some(msn) = msn else {
        if part.is_some() {
            return Err(Error::BadRequest);
        }
        let first = |has_enough: fn(&Shelf<Bytes>) -> bool| {
            move |shelf: &Shelf<Bytes>, liveness| {
                let is_ready = has_enough(shelf) || liveness != Liveness::Live;
                is_ready.then(|| shelf.playlist(skips, liveness == Liveness::Over))
            }
        };
        // Players that know no parts, such as ffmpeg, give up at a playlist without a segment.
        let patience = if asked.begins_with_a_part() { Duration::ZERO } else { BEGINNING };
        let text = match station.look(patience, first(Shelf::has_segment)).await {
            Some(text) => Some(text),
            None => station.look(PATIENCE - patience, first(Shelf::is_ready)).await,
        };
        return text.map(|text| (text, Keep::Briefly)).ok_or(Error::Late);
    };
    let look = station.look(PATIENCE, |shelf, liveness| match shelf.has(msn, part) {
        // Nothing follows, so nobody waits.
        _ if liveness == Liveness::Over => Some(Ok(shelf.playlist(skips, true))),
        Found::There(()) => Some(Ok(shelf.playlist(skips, false))),
        Found::Nowhere => Some(Err(Error::BadRequest)),
        Found::NotYet => None,
    });
    look.await.ok_or(Error::Late)?.map(|text| (text, Keep::Awaited))
}

async fn media(station: &Arc<Station>, file: &str) -> Result<Vec<Bytes>, Error> {
    if let Some(number) = file.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
        let number = number.parse().map_err(|_| Error::Nowhere)?;
        let look = station.look(Duration::ZERO, |shelf, _| shelf.init_of(number)).await;
        return look.map(|init| vec![init]).ok_or(Error::Nowhere);
    }
    let name = file.strip_suffix(".m4s").ok_or(Error::Nowhere)?;
    let (number, part) = match name.split_once('.') {
        Some((number, part)) => (number, Some(part.parse::<usize>().map_err(|_| Error::Nowhere)?)),
        None => (name, None),
    };
    let number: u64 = number.parse().map_err(|_| Error::Nowhere)?;
    let look = station.look(PATIENCE, |shelf, _| {
        let found = match part {
            Some(part) => shelf.part(number, part),
            None => shelf.segment(number),
        };
        match found {
            Found::There(pieces) => Some(Ok(pieces)),
            Found::NotYet => None,
            Found::Nowhere => Some(Err(Error::Nowhere)),
        }
    });
    look.await.ok_or(Error::Late)?
}

fn playlist(text: String, asked: &Asked<'_>, admitted: &Admitted, keep: Keep) -> Response {
    let text = match &admitted.carried {
        None => text.into_bytes(),
        Some(token) => {
            let host =
                asked.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let mut rewriter = Rewriter::new(PlaylistFormat::Hls, token.clone(), host, true);
            let mut out = Vec::with_capacity(text.len() * 2);
            rewriter.push(text.as_bytes(), &mut out);
            rewriter.finish(&mut out);
            out
        }
    };
    kept(compress::answer("application/vnd.apple.mpegurl", text, asked.headers), keep)
}

fn body(pieces: Vec<Bytes>, kind: &'static str) -> Response {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_LENGTH, length.into())];
    kept((headers, body).into_response(), Keep::Long)
}

fn kept(mut response: Response, keep: Keep) -> Response {
    let value = match keep {
        Keep::Briefly => "public, max-age=1",
        Keep::Awaited => "public, max-age=24",
        Keep::Long => "public, max-age=3600, immutable",
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
    response
}
