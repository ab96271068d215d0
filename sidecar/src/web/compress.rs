//! Compresses text with gzip for clients that accept it (RFC 9110, 12.5.3).

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Returns an answer with a text of this type.
pub(super) fn answer(kind: &'static str, text: Vec<u8>, headers: &HeaderMap) -> Response {
    let compressed = takes_gzip(headers).then(|| gzip(&text)).flatten();
    let is_compressed = compressed.is_some();
    let mut response = ([(header::CONTENT_TYPE, kind)], compressed.unwrap_or(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    compressed(text, Compression::fast())
}

/// Compresses a text as much as possible; for files that are compressed only once.
pub(super) fn smallest(text: &[u8]) -> Option<Vec<u8>> {
    compressed(text, Compression::best())
}

fn compressed(text: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), level);
    encoder.write_all(text).and_then(|()| encoder.finish()).ok()
}

/// Returns whether the client accepts gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let fits = |coding: &str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    };
    values.flat_map(|value| value.split(',')).any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip_says_so() {
        let takes = |value: &str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
        };
        assert!(takes("gzip") && takes("deflate, GZIP;q=0.5") && takes("br , gzip"));
        assert!(
            !takes("gzip;q=0") && !takes("identity") && !takes("xgzip") && !takes_gzip(&HeaderMap::new())
        );
    }
}
