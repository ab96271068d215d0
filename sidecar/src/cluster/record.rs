//! The report of an edge, and the origin's record of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use weir_model::link::Base;
use weir_model::{AppName, StreamName};

use super::figures::{Figures, UNREACHABLE};
use super::troubles;

/// Longest version and region, in bytes.
const MAX_WORD: usize = 64;
/// Most streams that are kept per edge.
const MAX_STREAMS: usize = 2000;
/// Most refused applications that are kept per edge.
const MAX_APPS: usize = 1000;

/// Name of an edge: 1 to 64 of `A-Z a-z 0-9 . _ - : [ ]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct EdgeId(String);

/// Error of a text that is not a name of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of A-Z a-z 0-9 . _ - :")]
pub(crate) struct EdgeIdError;

impl EdgeId {
    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EdgeId {
    type Err = EdgeIdError;
    fn from_str(text: &str) -> Result<Self, EdgeIdError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte);
        let is_good = !text.is_empty() && text.len() <= 64 && text.bytes().all(fits);
        is_good.then(|| Self(text.to_owned())).ok_or(EdgeIdError)
    }
}

impl TryFrom<String> for EdgeId {
    type Error = EdgeIdError;
    fn try_from(text: String) -> Result<Self, EdgeIdError> {
        text.parse()
    }
}

impl From<EdgeId> for String {
    fn from(id: EdgeId) -> Self {
        id.0
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Report of an edge about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Name of the edge.
    pub id: EdgeId,
    /// Address for viewers: `https://edge1.example.org`.
    pub address: String,
    /// Region of the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Rate that the edge can send, in bit/s.
    pub bandwidth: u64,
    /// Most viewers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_viewers: Option<u32>,
    /// Rate that the edge sends, in bit/s.
    #[serde(default)]
    pub egress: u64,
    /// Number of viewers.
    #[serde(default)]
    pub viewers: u32,
    /// Load per core.
    #[serde(default)]
    pub load: f64,
    /// Version of the edge's daemon.
    #[serde(default)]
    pub version: String,
    /// Live streams of the edge, as `APP/NAME`.
    #[serde(default)]
    pub streams: Vec<String>,
    /// The edge wants no more viewers.
    #[serde(default)]
    pub draining: bool,
    /// The origin has told it that it is drained. After a restart, the origin learns it from this field.
    #[serde(default)]
    pub drained: bool,
    /// Time of the edge's clock when it sent the report, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<u64>,
    /// Figures for administrators; `None` from an older version, and if a newer one means something else by them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub figures: Option<Figures>,
    /// Streams that the edge cannot pull, as `APP/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// Applications whose viewers the edge cannot serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// Reads figures. Figures that this version does not know are none: they are no reason to refuse an edge.
fn known<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Figures>, D::Error> {
    let value = serde_json::Value::deserialize(source)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Reason why a report is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// The address is not valid.
    #[error("field \"address\": {0}")]
    Address(weir_model::link::BaseError),
    /// The bandwidth is too small for a single stream.
    #[error("field \"bandwidth\": must be at least 1000 bit/s")]
    Bandwidth,
    /// The load is not a valid number.
    #[error("field \"load\": must be a number that is not negative")]
    Load,
    /// The text is too long, or has characters that must not be in a log.
    #[error("field \"{0}\": must be at most 64 printable characters")]
    Word(&'static str),
}

impl Report {
    /// Returns `draining`, `down` if that is because the edge's nginx does not answer, or `up`.
    pub(crate) fn state(&self) -> &'static str {
        let nginx = self.figures.as_ref().and_then(|figures| figures.nginx.as_ref());
        match self.draining {
            true if nginx.is_some_and(|health| health.status == UNREACHABLE) => "down",
            true => "draining",
            false => "up",
        }
    }

    /// Limits the report to what an edge may claim: bandwidth up to `max_bandwidth`, and streams with names that Weir allows.
    pub(crate) fn checked(mut self, max_bandwidth: u64) -> Result<Self, Unfit> {
        self.address = self.address.parse::<Base>().map_err(Unfit::Address)?.as_str().to_owned();
        if self.bandwidth < 1000 {
            return Err(Unfit::Bandwidth);
        }
        if !(self.load.is_finite() && self.load >= 0.0) {
            return Err(Unfit::Load);
        }
        let is_word = |text: &str| text.len() <= MAX_WORD && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_word(&self.version) {
            return Err(Unfit::Word("version"));
        }
        if !self.region.as_deref().is_none_or(is_word) {
            return Err(Unfit::Word("region"));
        }
        self.bandwidth = self.bandwidth.min(max_bandwidth);
        self.figures = self.figures.and_then(Figures::checked);
        self.streams.retain(|path| is_stream(path));
        self.streams.truncate(MAX_STREAMS);
        self.failing.retain(|path| is_stream(path));
        self.failing.truncate(troubles::MOST);
        self.refused.retain(|app| app.parse::<AppName>().is_ok());
        self.refused.truncate(MAX_APPS);
        Ok(self)
    }
}

fn is_stream(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(app, name)| app.parse::<AppName>().is_ok() && name.parse::<StreamName>().is_ok())
}

/// An edge in the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The last report.
    #[serde(flatten)]
    pub report: Report,
    /// Time of the report by the edge's clock, in milliseconds since 1970. A later report replaces an earlier one, never the reverse.
    pub sent: u64,
    /// The edge's clock minus the clock of the origin that received the report, in milliseconds; `None` from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<i64>,
    /// Address from which an edge with a credential sent the report; `None` for an edge with the secret of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

#[cfg(test)]
pub(crate) fn sample(id: &str) -> Record {
    Record {
        report: Report {
            id: id.parse().unwrap(),
            address: format!("https://{id}.example.org"),
            region: None,
            bandwidth: 1_000_000_000,
            max_viewers: None,
            egress: 0,
            viewers: 0,
            load: 0.0,
            version: "1".into(),
            streams: Vec::new(),
            draining: false,
            drained: false,
            clock: None,
            figures: None,
            failing: Vec::new(),
            refused: Vec::new(),
        },
        sent: 1,
        skew_ms: None,
        from: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_bounded() {
        let report = || sample("e1").report;
        let many = Report { bandwidth: u64::MAX, streams: vec!["live/a".into(), "../x".into()], ..report() };
        let checked = many.checked(10_000_000_000).unwrap();
        let failing = (0..60).map(|nth| format!("live/s{nth}")).chain(["../x".to_owned()]).collect();
        let failing = Report { failing, ..report() }.checked(1 << 40).unwrap().failing;
        assert!(failing.len() == troubles::MOST && !failing.contains(&"../x".to_owned()));
        let refused =
            ["../x".to_owned()].into_iter().chain((0..2000).map(|nth| format!("app{nth}"))).collect();
        let refused = Report { refused, ..report() }.checked(1 << 40).unwrap().refused;
        assert_eq!((refused.len(), refused[0].as_str()), (MAX_APPS, "app0"));
        assert_eq!((checked.bandwidth, checked.streams), (10_000_000_000, vec!["live/a".to_owned()]));
        for (bad, expected) in [
            (Report { address: "ftp://x".into(), ..report() }, "\"address\""),
            (Report { address: "https://x/\"><script>".into(), ..report() }, "\"address\""),
            (Report { bandwidth: 0, ..report() }, "\"bandwidth\""),
            (Report { load: f64::NAN, ..report() }, "\"load\""),
            (Report { load: -1.0, ..report() }, "\"load\""),
            (Report { version: "1\n2".into(), ..report() }, "\"version\""),
            (Report { region: Some("é".into()), ..report() }, "\"region\""),
        ] {
            let why = bad.checked(1 << 40).unwrap_err().to_string();
            assert!(why.contains(expected), "{why}");
        }
        // Figures of another version are no reason to refuse an edge.
        let mut report = serde_json::to_value(report()).unwrap();
        report["figures"] = serde_json::json!({ "load": "high" });
        assert_eq!(serde_json::from_value::<Report>(report).unwrap().figures, None);
        // Reports of older versions have no list of failing streams.
        assert_eq!(
            serde_json::from_str::<Report>(r#"{"id":"e","address":"http://e","bandwidth":1}"#)
                .unwrap()
                .failing,
            [""; 0]
        );
        assert!("a b".parse::<EdgeId>().is_err() && "".parse::<EdgeId>().is_err());
        assert!(serde_json::from_str::<EdgeId>("\"a/b\"").is_err());
    }
}
