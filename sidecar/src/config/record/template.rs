//! Names of recordings: `{app}/{stream}/{date}/{start}.{ext}`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use weir_model::Timestamp;

/// Maximum length of a path's part, in bytes; file systems allow 255.
const MAX_PART: usize = 240;
/// Number of bytes at the end of a longer part that are kept.
const TAIL: usize = 60;

/// A path below a folder, with fields in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    App,
    Stream,
    Date,
    Start,
    Session,
    Ext,
}

impl Field {
    const ALL: [(Self, &str); 6] = [
        (Self::App, "app"),
        (Self::Stream, "stream"),
        (Self::Date, "date"),
        (Self::Start, "start"),
        (Self::Session, "session"),
        (Self::Ext, "ext"),
    ];
}

/// Values of the fields. All are valid in file names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'n> {
    /// `{app}`
    pub app: &'n str,
    /// `{stream}`
    pub stream: &'n str,
    /// `{session}`
    pub session: &'n str,
    /// `{date}` and `{start}`, in UTC.
    pub start: Timestamp,
    /// `{ext}`
    pub ext: &'n str,
}

/// Error that makes a template unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// Unknown field.
    #[error("no field {0}; there are {{app}}, {{stream}}, {{date}}, {{start}}, {{session}} and {{ext}}")]
    Field(String),
    /// Two recordings could get the same name.
    #[error("{{start}} is missing: two recordings would have one name")]
    NoStart,
    /// Two streams could get the same name.
    #[error("{{app}} and {{stream}} are missing: two streams would have one name")]
    NoStream,
    /// The path leads out of the folder.
    #[error("must be a path below folder, without . and ..")]
    Elsewhere,
    /// The path lacks the extension, which players need.
    #[error("must end with .{{ext}}")]
    NoExtension,
}

impl Default for Template {
    fn default() -> Self {
        use Field::{App, Date, Ext, Start, Stream};
        let text = |text: &str| Part::Text(text.into());
        let field = Part::Field;
        let slash = || text("/");
        Self(vec![
            field(App),
            slash(),
            field(Stream),
            slash(),
            field(Date),
            slash(),
            field(Start),
            text("."),
            field(Ext),
        ])
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let (name, behind) =
                after.split_once('}').ok_or_else(|| TemplateError::Field(format!("{{{after}")))?;
            let known = Field::ALL.iter().find(|(_, known)| *known == name);
            let (field, _) = known.ok_or_else(|| TemplateError::Field(format!("{{{name}}}")))?;
            parts.push(Part::Field(*field));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        let has = |field: Field| parts.contains(&Part::Field(field));
        if !text.ends_with(".{ext}") {
            return Err(TemplateError::NoExtension);
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) || text.contains(['\\', '\0', '\n']) {
            return Err(TemplateError::Elsewhere);
        }
        if !has(Field::Start) {
            return Err(TemplateError::NoStart);
        }
        let of_one_stream = has(Field::Session) || (has(Field::App) && has(Field::Stream));
        if !of_one_stream {
            return Err(TemplateError::NoStream);
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Field(field) => {
                    let name =
                        Field::ALL.iter().find(|(known, _)| known == field).map_or("", |(_, name)| *name);
                    write!(f, "{{{name}}}")?;
                }
            }
        }
        Ok(())
    }
}

impl Template {
    /// Returns the path below the folder. `copy` (from 0) distinguishes recordings that started in the same second.
    pub(crate) fn path(&self, names: &Names<'_>, copy: u32) -> PathBuf {
        // 2026-11-20T18:00:00.123Z
        let start = Timestamp::from_millis(names.start.as_seconds() * 1000).to_string();
        let (date, time) = start.split_once('T').unwrap_or((&start, ""));
        let time: String = time.chars().filter(char::is_ascii_digit).take(6).collect();
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Field(Field::App) => path.push_str(names.app),
                Part::Field(Field::Stream) => path.push_str(names.stream),
                Part::Field(Field::Session) => path.push_str(names.session),
                Part::Field(Field::Date) => path.push_str(date),
                Part::Field(Field::Start) => {
                    path.push_str(&format!("{}T{time}Z", date.replace('-', "")));
                    if copy > 0 {
                        // This name sorts after the first one, whose dot follows directly.
                        path.push_str(&format!("_{copy}"));
                    }
                }
                Part::Field(Field::Ext) => path.push_str(names.ext),
            }
        }
        path.split('/').map(|part| fitting(part).into_owned()).collect()
    }
}

/// Returns a part of a path that file systems accept, with space for the suffix of an unfinished file. A longer part becomes its
/// beginning, a checksum of the whole part, and its end, which usually contains the start time and the extension.
fn fitting(part: &str) -> Cow<'_, str> {
    if part.len() <= MAX_PART {
        return part.into();
    }
    let sum = Sha256::digest(part.as_bytes());
    let sum = u64::from_be_bytes(std::array::from_fn(|at| sum[at]));
    let is_boundary = |at: &usize| part.is_char_boundary(*at);
    let head = (0..=MAX_PART - TAIL - 18).rev().find(is_boundary).unwrap_or_default();
    let tail = (part.len() - TAIL..part.len()).find(is_boundary).unwrap_or(part.len());
    format!("{}~{sum:016x}~{}", &part[..head], &part[tail..]).into()
}
