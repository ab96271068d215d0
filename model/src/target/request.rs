//! The requests of the API about targets.

use serde::{Serialize, Serializer};

use super::{StreamPattern, Target, TargetId, TargetSource, TargetUrl};
use crate::api::ApiError;
use crate::fields::Fields;
use crate::key::check_note;
use crate::server::ServerAddr;
use crate::stream_name::AppName;

/// The body of `POST /v1/targets`. Serialised with its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTarget {
    /// The application whose streams are pushed.
    pub app: AppName,
    /// The streams of the application.
    pub stream: StreamPattern,
    /// The `server` block that it is limited to, by an address that the block listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// The URL with its secrets.
    #[serde(serialize_with = "exposed")]
    pub url: TargetUrl,
    /// Whether the target is enabled, which is the default.
    pub enabled: bool,
    /// A note for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl NewTarget {
    /// Reads a body. An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<NewTarget, ApiError> {
        let mut fields = Fields::parse(body)?;
        let new = NewTarget {
            app: fields.parsed("app")?,
            stream: fields.parsed("stream")?,
            url: fields.parsed("url")?,
            enabled: fields.optional_bool("enabled")?.unwrap_or(true),
            note: note(&mut fields)?.unwrap_or_default(),
            server: fields.optional_parsed("server")?,
        };
        fields.finish()?;
        new.stream.check(&new.url).map_err(|error| ApiError::bad_field("url", error))?;
        Ok(new)
    }

    /// Returns the target to store.
    pub fn into_target(self, id: TargetId) -> Target {
        Target {
            id,
            app: self.app,
            stream: self.stream,
            server: self.server,
            url: self.url,
            enabled: self.enabled,
            note: self.note,
            source: TargetSource::Api,
        }
    }
}

fn exposed<S: Serializer>(url: &TargetUrl, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.expose())
}

fn exposed_if_any<S: Serializer>(url: &Option<TargetUrl>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(TargetUrl::expose).serialize(serializer)
}

/// The body of `PATCH /v1/targets/{id}`. Fields that are absent stay unchanged. Serialised with its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PatchTarget {
    /// Whether the target is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The whole URL. A URL that contains the mask of an answer is refused.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed_if_any")]
    pub url: Option<TargetUrl>,
    /// A note for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PatchTarget {
    /// Reads a body. An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<PatchTarget, ApiError> {
        let mut fields = Fields::parse(body)?;
        let patch = PatchTarget {
            enabled: fields.optional_bool("enabled")?,
            url: fields.optional_parsed("url")?,
            note: note(&mut fields)?,
        };
        fields.finish()?;
        Ok(patch)
    }

    /// Returns an error 400 if the target cannot have such a URL.
    pub fn check(&self, target: &Target) -> Result<(), ApiError> {
        let wrong = self.url.as_ref().and_then(|url| target.stream.check(url).err());
        wrong.map_or(Ok(()), |error| Err(ApiError::bad_field("url", error)))
    }

    /// Changes a target. Returns false if the target had these values already.
    pub fn apply(&self, target: &mut Target) -> bool {
        let before = target.clone();
        if let Some(enabled) = self.enabled {
            target.enabled = enabled;
        }
        if let Some(url) = &self.url {
            target.url = url.clone();
        }
        if let Some(note) = &self.note {
            target.note.clone_from(note);
        }
        *target != before
    }
}

fn note(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let note = fields.optional_text("note")?;
    note.as_deref().map_or(Ok(()), check_note).map_err(|error| ApiError::bad_field("note", error))?;
    Ok(note)
}
