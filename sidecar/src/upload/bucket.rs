//! Uploads to one bucket: a small file in one request, a larger file in parts.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, ETAG};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use rusty_s3::actions::{CompleteMultipartUpload, CreateMultipartUpload, ListParts, UploadPart};
use rusty_s3::{Credentials, S3Action, UrlStyle};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, Take};

use super::credentials;
use super::error::Error;
use crate::clock;
use crate::config::record::Upload;
use crate::http::{self, innermost};
use crate::record::transfer::Transfer;

/// Validity of a signature: the longest time that a request may take.
const VALID: Duration = Duration::from_secs(3600);
/// Time without a byte from the server after which a request fails.
const SILENCE: Duration = Duration::from_secs(60);
/// Slowest accepted upload rate, in bytes per second.
const LEAST_RATE: u64 = 50_000;
/// Bytes of a file that are in memory.
const CHUNK: usize = 256 << 10;
/// Most parts of a multipart upload in S3.
const MAX_PARTS: u64 = 10_000;
/// Longest answer of S3, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A client of one bucket.
pub(crate) struct Bucket {
    http: reqwest::Client,
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
}

impl Bucket {
    /// Reads the credentials, and creates the client.
    pub(crate) fn new(upload: &Upload) -> Result<Self, Error> {
        let credentials = credentials::find(upload.credentials_file.as_deref())?;
        let style = if upload.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = rusty_s3::Bucket::new(
            upload.endpoint.clone(),
            style,
            upload.bucket.clone(),
            upload.region.clone(),
        )
        .map_err(|error| failed("bucket", error.to_string()))?;
        let http = http::client()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| failed("HTTP client", innermost(&error)))?;
        Ok(Self { http, bucket, credentials })
    }

    /// Uploads a file. `note` stores the progress.
    pub(crate) async fn put<N, F>(&self, path: &Path, mut transfer: Transfer, note: N) -> Result<(), Error>
    where
        N: Fn(&Transfer) -> F,
        F: Future<Output = std::io::Result<()>>,
    {
        let size = tokio::fs::metadata(path).await?.len();
        let part_size = transfer.part_size.max(size.div_ceil(MAX_PARTS));
        if size <= part_size {
            let url = self.bucket.put_object(Some(&self.credentials), &transfer.key).sign(VALID);
            self.send("upload", self.data(Method::PUT, url, path, 0, size).await?).await?;
        } else {
            self.in_parts(path, size, part_size, &mut transfer, &note).await?;
        }
        self.check(&transfer.key, size).await?;
        transfer.done = Some(clock::now());
        note(&transfer).await?;
        Ok(())
    }

    async fn in_parts<N, F>(
        &self,
        path: &Path,
        size: u64,
        part_size: u64,
        transfer: &mut Transfer,
        note: &N,
    ) -> Result<(), Error>
    where
        N: Fn(&Transfer) -> F,
        F: Future<Output = std::io::Result<()>>,
    {
        let credentials = Some(&self.credentials);
        if !self.is_known(transfer).await? {
            // The server has forgotten the upload, or somebody has aborted it.
            (transfer.id, transfer.parts) = (None, Vec::new());
            note(transfer).await?;
        }
        let id = match transfer.id.clone() {
            Some(id) => id,
            None => {
                let url = CreateMultipartUpload::new(&self.bucket, credentials, &transfer.key).sign(VALID);
                let answer = text(self.send("begin an upload", self.http.post(url)).await?).await?;
                let answer = CreateMultipartUpload::parse_response(&answer)
                    .map_err(|error| failed("begin an upload", error.to_string()))?;
                transfer.id = Some(answer.upload_id().to_owned());
                note(transfer).await?;
                answer.upload_id().to_owned()
            }
        };
        let mut at = part_size * transfer.parts.len() as u64;
        while at < size {
            let number = u16::try_from(transfer.parts.len() + 1).map_err(std::io::Error::other)?;
            let length = part_size.min(size - at);
            let url = UploadPart::new(&self.bucket, credentials, &transfer.key, number, &id).sign(VALID);
            let answer =
                self.send("upload a part", self.data(Method::PUT, url, path, at, length).await?).await?;
            let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.ok_or_else(|| failed("upload a part", "no ETag in the answer".into()))?;
            transfer.parts.push(tag.to_owned());
            note(transfer).await?;
            at += length;
        }
        let tags = transfer.parts.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(&self.bucket, credentials, &transfer.key, &id, tags);
        let (url, body) = (action.sign(VALID), action.body());
        let answer = text(self.send("end an upload", self.http.post(url).body(body)).await?).await?;
        // S3 may report an error after it has sent the status.
        if answer.contains("<Error") {
            return Err(failed("end an upload", code_of(&answer)));
        }
        Ok(())
    }

    /// Returns whether the server knows an upload that was begun, so that it can continue.
    async fn is_known(&self, transfer: &Transfer) -> Result<bool, Error> {
        let Some(id) = &transfer.id else { return Ok(true) };
        let url = ListParts::new(&self.bucket, Some(&self.credentials), &transfer.key, id).sign(VALID);
        match self.send("ask for parts", self.http.get(url)).await {
            Ok(_) => Ok(true),
            Err(Error::Server { unknown: true, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Checks that the whole object exists.
    async fn check(&self, key: &str, size: u64) -> Result<(), Error> {
        let url = self.bucket.head_object(Some(&self.credentials), key).sign(VALID);
        let answer = self.send("look at what was uploaded", self.http.head(url)).await?;
        let there =
            answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match there {
            Some(there) if there == size => Ok(()),
            there => Err(failed(
                "look at what was uploaded",
                format!("{size} bytes were sent, {there:?} are there"),
            )),
        }
    }

    /// Returns a request with a piece of a file, which is read while it is sent.
    async fn data(
        &self,
        method: Method,
        url: Url,
        path: &Path,
        at: u64,
        length: u64,
    ) -> Result<RequestBuilder, Error> {
        let mut file = File::open(path).await?;
        file.seek(SeekFrom::Start(at)).await?;
        let chunks = futures_util::stream::unfold(file.take(length), next_chunk);
        let timeout = SILENCE + Duration::from_secs(length / LEAST_RATE);
        let request = self.http.request(method, url).timeout(timeout).header(CONTENT_LENGTH, length);
        Ok(request.body(Body::wrap_stream(chunks)))
    }

    async fn send(&self, what: &'static str, request: RequestBuilder) -> Result<Response, Error> {
        // The URL in an error would contain the signature.
        let answer = request.send().await.map_err(|error| failed(what, innermost(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = text(answer).await.unwrap_or_default();
        let why = format!("{status} {}", code_of(&body)).trim_end().to_owned();
        Err(Error::Server {
            what,
            why,
            unknown: status == StatusCode::NOT_FOUND && body.contains("NoSuchUpload"),
        })
    }
}

type Chunk = Option<(std::io::Result<Vec<u8>>, Take<File>)>;

async fn next_chunk(mut file: Take<File>) -> Chunk {
    let mut chunk = vec![0; CHUNK];
    match file.read(&mut chunk).await {
        Ok(0) => None,
        Ok(n) => {
            chunk.truncate(n);
            Some((Ok(chunk), file))
        }
        Err(error) => Some((Err(error), file)),
    }
}

async fn text(mut answer: Response) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| failed("answer", innermost(&error));
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(failed("answer", "it is too long".into()));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns S3's error code.
fn code_of(body: &str) -> String {
    let code = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code);
    code.chars().filter(char::is_ascii_alphanumeric).take(100).collect()
}

fn failed(what: &'static str, why: String) -> Error {
    Error::Server { what, why, unknown: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_as_s3_names_them() {
        assert_eq!(
            code_of("<?xml?><Error><Code>NoSuchBucket</Code><Message>x</Message></Error>"),
            "NoSuchBucket"
        );
        assert_eq!(code_of("<html>"), "");
    }
}
