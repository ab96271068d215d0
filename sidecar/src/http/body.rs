//! Reads the bodies of answers. The length is limited, because another machine could send a body without an end.

use reqwest::Response;

use super::innermost;

/// Reason why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// The body is longer than this limit, in bytes.
    #[error("its answer has more than {0} bytes")]
    TooLong(usize),
}

/// Reads a body of at most `most` bytes.
pub(crate) async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Broken(innermost(&error)))? {
        if bytes.len() + chunk.len() > most {
            return Err(BodyError::TooLong(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &'static str) -> Response {
        axum::http::Response::new(text).into()
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(body(answer("12345"), 5).await, Ok(b"12345".to_vec()));
        assert_eq!(body(answer("123456"), 5).await, Err(BodyError::TooLong(5)));
    }
}
