//! A recording as a file, whole or a range of it (RFC 9110, section 14): for playing, or with `?download` for saving.

use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::gate::Reader;
use super::own::find;
use crate::web::answer;
use crate::web::common::Web;

/// Number of bytes per read.
const PIECE: u64 = 128 << 10;

/// Requested part of a file.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The range starts after the end of the file.
    Beyond,
}

pub(super) async fn get(
    State(web): State<Arc<Web>>,
    _: Reader,
    Path(number): Path<u64>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some((folder, _, entry)) = find(&web, number).await else { return answer::nothing_here().await };
    let Ok(file) = File::open(folder.join(&entry.file)).await else { return answer::nothing_here().await };
    let Ok(facts) = file.metadata().await else { return answer::nothing_here().await };
    let size = facts.len();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let mut response = match wanted(range, size) {
        Wanted::Whole => part(file, 0..size).await,
        Wanted::Part(range) => {
            let shown = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
            let mut response = part(file, range).await;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut response, header::CONTENT_RANGE, &shown);
            response
        }
        Wanted::Beyond => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let is_mkv = entry.file.extension().is_some_and(|extension| extension == "mkv");
    set(&mut response, header::CONTENT_TYPE, if is_mkv { "video/x-matroska" } else { "video/mp4" });
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if query.is_some_and(|query| query == "download") {
        let name = entry.file.to_string_lossy().replace('/', "-");
        let plain: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        set(&mut response, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{plain}\""));
    }
    response
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Parses one range. For several ranges or an invalid range, the answer is the whole file.
fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size => Wanted::Beyond,
        (Ok(first), Ok(last)) if last >= first => Wanted::Part(first..last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => Wanted::Part(first..size),
        (Err(_), Ok(0)) if first.is_empty() => Wanted::Beyond,
        (Err(_), Ok(last)) if first.is_empty() && size > 0 => Wanted::Part(size.saturating_sub(last)..size),
        _ => Wanted::Whole,
    }
}

async fn part(mut file: File, range: Range<u64>) -> Response {
    if file.seek(SeekFrom::Start(range.start)).await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let length = range.end - range.start;
    let pieces = stream::unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return None;
        }
        let mut piece = vec![0; usize::try_from(left.min(PIECE)).unwrap_or_default()];
        match file.read(&mut piece).await {
            // The file became shorter: the connection ends early, so the client detects it.
            Ok(0) => Some((Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)), (file, 0))),
            Ok(read) => {
                piece.truncate(read);
                let left = left.saturating_sub(read as u64);
                Some((Ok(Bytes::from(piece)), (file, left)))
            }
            Err(error) => Some((Err(error), (file, 0))),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-"), Wanted::Part(0..100)),
            (Some("bytes=10-19"), Wanted::Part(10..20)),
            (Some("bytes=90-900"), Wanted::Part(90..100)),
            (Some("bytes=-10"), Wanted::Part(90..100)),
            (Some("bytes=-1000"), Wanted::Part(0..100)),
            (Some("bytes=100-"), Wanted::Beyond),
            (Some("bytes=-0"), Wanted::Beyond),
            (Some("bytes=5-4"), Wanted::Whole),
            (Some("bytes=0-1,5-6"), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
        ] {
            assert_eq!(wanted(range, 100), expected, "{range:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Beyond);
        assert_eq!(wanted(Some("bytes=0-18446744073709551615"), 100), Wanted::Part(0..100));
    }
}
