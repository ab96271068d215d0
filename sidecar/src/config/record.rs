//! `[[record]]`, `[[thumbnail]]` and `[upload.NAME]`: recordings and stills of streams.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use toml::Spanned;
use weir_model::AppName;

use super::check::{
    Checked, Problem, Text, Unfit, absolute, check_name, number, parsed, problem, text_or, time,
};
use super::pattern::{NamePattern, pattern};
use crate::values::{Size, ValueError};

pub(in crate::config) mod raw;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use template::{Names, Template};

const MIB: u64 = 1 << 20;
/// Minimum part size: S3 accepts no smaller part except the last one, and at most 10000 parts.
const LEAST_PART: u64 = 5 * MIB;

/// `[[record]]`: the streams to record, and the rules for their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Application of nginx-rtmp.
    pub app: AppName,
    /// Streams of the application.
    pub stream: NamePattern,
    /// Format of the files.
    pub format: Format,
    /// Folder of the files.
    pub folder: PathBuf,
    /// Template of the files' paths below the folder.
    pub name: Template,
    /// Time after which a file ends, at the next keyframe.
    pub split: Option<Duration>,
    /// Size in bytes at which a file ends, at the next keyframe.
    pub split_size: Option<u64>,
    /// Whether each file has an HLS playlist beside it.
    pub playlist: bool,
    /// Age at which a file is removed.
    pub keep: Option<Duration>,
    /// Maximum size of the folder in bytes; beyond it, the oldest files are removed.
    pub keep_size: Option<u64>,
    /// Minimum free space of the file system in bytes; below it, nothing is recorded.
    pub min_free: u64,
    /// Upload of finished files.
    pub upload: Option<Upload>,
    /// Whether uploaded files are removed.
    pub delete_uploaded: bool,
}

/// A container that stays playable if it is cut off anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Fragmented MP4.
    Mp4,
    /// Matroska.
    Mkv,
}

impl Format {
    /// Returns the extension of file names.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mkv => "mkv",
        }
    }
}

/// `[upload.NAME]`: a bucket of an S3-compatible service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Name in the configuration.
    pub name: String,
    /// Scheme, host and port.
    pub endpoint: Url,
    /// Region, part of the signature.
    pub region: String,
    /// Bucket, which must exist.
    pub bucket: String,
    /// Prefix of each object's name.
    pub prefix: String,
    /// Whether URLs are `https://HOST/BUCKET/...` rather than `https://BUCKET.HOST/...`.
    pub path_style: bool,
    /// File with access key and secret key; with `None`, the environment provides them.
    pub credentials_file: Option<PathBuf>,
    /// Bytes per request.
    pub part_size: u64,
}

/// `[[thumbnail]]`: a still of a stream, renewed regularly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    /// Application of nginx-rtmp.
    pub app: AppName,
    /// Streams of the application.
    pub stream: NamePattern,
    /// Interval between stills.
    pub every: Duration,
    /// Folder; the still of a stream is `FOLDER/APP/NAME.jpg`.
    pub folder: PathBuf,
    /// Height in pixels.
    pub height: u32,
}

/// Checks all `[upload.NAME]` tables.
pub(super) fn uploads(written: BTreeMap<Spanned<String>, raw::Upload>) -> Checked<BTreeMap<String, Upload>> {
    written
        .into_iter()
        .map(|(name, raw)| {
            check_name("upload", &name)?;
            Ok((name.get_ref().clone(), upload(&name, &raw)?))
        })
        .collect()
}

fn upload(name: &Spanned<String>, raw: &raw::Upload) -> Checked<Upload> {
    let missing = |key: &str, example: &str| Problem {
        at: name.span().start,
        what: format!("[upload.{}]: {key} is missing, such as {key} = {example}", name.get_ref()),
    };
    let endpoint = text_or("endpoint", &raw.endpoint, || None, |text| endpoint(text).map(Some))?;
    let endpoint = endpoint.ok_or_else(|| missing("endpoint", "\"https://s3.example.org\""))?;
    let word =
        |text: &str| match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            true if !text.is_empty() => Ok(Some(text.to_owned())),
            _ => Err(Unfit::Remedy("must be of A-Z a-z 0-9 - . _")),
        };
    let bucket =
        text_or("bucket", &raw.bucket, || None, word)?.ok_or_else(|| missing("bucket", "\"recordings\""))?;
    let region = text_or("region", &raw.region, || Some("us-east-1".into()), word)?.unwrap_or_default();
    let part_size = text_or(
        "part_size",
        &raw.part_size,
        || 16 * MIB,
        |text| match size(text)? {
            size if (LEAST_PART..=512 * MIB).contains(&size) => Ok(size),
            _ => Err(Unfit::Remedy("must be from 5m to 512m")),
        },
    )?;
    Ok(Upload {
        name: name.get_ref().clone(),
        endpoint,
        region,
        bucket,
        prefix: text_or("prefix", &raw.prefix, String::new, prefix)?,
        path_style: raw.path_style.unwrap_or(true),
        credentials_file: optional("credentials_file", &raw.credentials_file, absolute)?,
        part_size,
    })
}

fn endpoint(text: &str) -> Result<Url, Unfit> {
    const HOW: &str = "write it as https://s3.example.org or http://127.0.0.1:9000";
    let url = Url::parse(text).map_err(|_| HOW)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none();
    if plain && url.username().is_empty() { Ok(url) } else { Err(Unfit::Remedy(HOW)) }
}

fn prefix(text: &str) -> Result<String, Unfit> {
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(Unfit::Remedy("write the beginning of keys, such as \"weir/\""));
    }
    Ok(text.to_owned())
}

/// Checks all `[[record]]` tables.
pub(super) fn records(
    written: Vec<Spanned<raw::Record>>,
    uploads: &BTreeMap<String, Upload>,
) -> Checked<Vec<Record>> {
    written.iter().map(|written| record(written, uploads)).collect()
}

fn record(written: &Spanned<raw::Record>, uploads: &BTreeMap<String, Upload>) -> Checked<Record> {
    let raw = written.get_ref();
    let (app, stream) = which("[[record]]", written, &raw.app, &raw.stream)?;
    let format = |text: &str| match text {
        "mp4" => Ok(Format::Mp4),
        "mkv" => Ok(Format::Mkv),
        _ => Err(Unfit::Remedy("must be \"mp4\" or \"mkv\"")),
    };
    let least = |least: u64, shown: &'static str| {
        move |text: &str| match size(text)? {
            size if size >= least => Ok(size),
            _ => Err(Unfit::Below(shown)),
        }
    };
    let upload = optional("upload", &raw.upload, |text| {
        uploads.get(text).cloned().ok_or_else(|| Unfit::Unknown(format!("upload.{text}")))
    })?;
    if raw.delete_uploaded && upload.is_none() {
        return problem(written, "[[record]]: delete_uploaded only goes with upload");
    }
    let format = text_or("format", &raw.format, || Format::Mp4, format)?;
    let playlist = match &raw.playlist {
        Some(wanted) if *wanted.get_ref() && format != Format::Mp4 => {
            return problem(wanted, "playlist = true: only goes with format = \"mp4\"");
        }
        wanted => wanted.as_ref().is_some_and(|wanted| *wanted.get_ref()),
    };
    Ok(Record {
        app,
        stream,
        format,
        playlist,
        folder: text_or("folder", &raw.folder, || "/var/lib/weir/recordings".into(), absolute)?,
        name: text_or("name", &raw.name, Template::default, parsed)?,
        split: optional_time("split", &raw.split, 1, 7 * 86_400)?,
        split_size: optional("split_size", &raw.split_size, least(MIB, "1m"))?,
        keep: optional_time("keep", &raw.keep, 60, 100 * 365 * 86_400)?,
        keep_size: optional("keep_size", &raw.keep_size, least(MIB, "1m"))?,
        min_free: text_or("min_free", &raw.min_free, || 1024 * MIB, size)?,
        upload,
        delete_uploaded: raw.delete_uploaded,
    })
}

/// Checks all `[[thumbnail]]` tables.
pub(super) fn thumbnails(written: Vec<Spanned<raw::Thumbnail>>) -> Checked<Vec<Thumbnail>> {
    written
        .iter()
        .map(|written| {
            let raw = written.get_ref();
            let (app, stream) = which("[[thumbnail]]", written, &raw.app, &raw.stream)?;
            Ok(Thumbnail {
                app,
                stream,
                every: time("every", &raw.every, 10, 1, 3600)?,
                folder: text_or("folder", &raw.folder, || "/var/lib/weir/thumbnails".into(), absolute)?,
                height: number("height", &raw.height, 360, 16, 4320)?,
            })
        })
        .collect()
}

fn which(
    table: &str,
    here: &Spanned<impl Sized>,
    app: &Text,
    stream: &Text,
) -> Checked<(AppName, NamePattern)> {
    let missing = |key: &str, example: &str| Problem {
        at: here.span().start,
        what: format!("{table}: {key} is missing, such as {key} = {example}"),
    };
    let app: Option<AppName> = optional("app", app, parsed)?;
    let stream = optional("stream", stream, pattern)?;
    Ok((app.ok_or_else(|| missing("app", "\"live\""))?, stream.ok_or_else(|| missing("stream", "\"*\""))?))
}

fn optional<T>(key: &str, text: &Text, parse: impl FnOnce(&str) -> Result<T, Unfit>) -> Checked<Option<T>> {
    text_or(key, text, || None, |text| parse(text).map(Some))
}

fn optional_time(key: &str, text: &Text, least: u64, most: u64) -> Checked<Option<Duration>> {
    text.as_ref().map(|_| time(key, text, least, least, most)).transpose()
}

fn size(text: &str) -> Result<u64, Unfit> {
    text.parse().map(|Size(bytes)| bytes).map_err(|error: ValueError| Unfit::Value(error.to_string()))
}
