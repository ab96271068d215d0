//! A target in the form of the file, the only one that contains the URL as plain text.

use serde::{Deserialize, Serialize};

use crate::server::ServerAddr;
use crate::stream_name::AppName;
use crate::target::{StreamPattern, Target, TargetId, TargetSource, TargetUrl};

/// Its URL is plain text, so the value must be written only to the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetLine {
    id: TargetId,
    app: AppName,
    stream: StreamPattern,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerAddr>,
    #[serde(with = "exposed")]
    url: TargetUrl,
    enabled: bool,
    note: String,
}

impl From<&Target> for TargetLine {
    fn from(target: &Target) -> TargetLine {
        TargetLine {
            id: target.id,
            app: target.app.clone(),
            stream: target.stream.clone(),
            server: target.server.clone(),
            url: target.url.clone(),
            enabled: target.enabled,
            note: target.note.clone(),
        }
    }
}

/// The file contains only targets of the API.
impl From<TargetLine> for Target {
    fn from(line: TargetLine) -> Target {
        Target {
            id: line.id,
            app: line.app,
            stream: line.stream,
            server: line.server,
            url: line.url,
            enabled: line.enabled,
            note: line.note,
            source: TargetSource::Api,
        }
    }
}

mod exposed {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::target::TargetUrl;

    pub(super) fn serialize<S: Serializer>(url: &TargetUrl, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TargetUrl, D::Error> {
        TargetUrl::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
