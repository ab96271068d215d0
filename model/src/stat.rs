//! `weir_stat`: a snapshot as a web page, as the XML of `rtmp_stat`, as JSON, and for Prometheus.

use std::str::FromStr;

use crate::snapshot::Snapshot;

#[cfg(test)]
mod fixture;
pub mod html;
pub mod json;
pub mod prometheus;
mod text;
#[cfg(test)]
mod well_formed;
pub mod xml;

/// The formats of `weir_stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A page for people, without scripts, so that its content security policy needs to allow only its own style.
    #[default]
    Html,
    /// The elements of nginx-rtmp's `rtmp_stat`.
    Xml,
    /// Streams in the form of the API.
    Json,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

/// The text is not a format of `weir_stat`. Beside a format only `full` is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"html\", \"xml\", \"json\", \"prometheus\" or \"full\"")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        match text {
            "html" => Ok(Format::Html),
            "xml" => Ok(Format::Xml),
            "json" => Ok(Format::Json),
            "prometheus" => Ok(Format::Prometheus),
            _ => Err(FormatError),
        }
    }
}

impl Format {
    /// Returns the value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Xml => "text/xml; charset=utf-8",
            Format::Json => "application/json",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Returns the body of the answer. Addresses and other facts about publishers and players appear only when `full`,
    /// and never in the Prometheus format.
    pub fn render(self, snapshot: Snapshot, full: bool) -> String {
        let snapshot = if full { snapshot } else { snapshot.redacted() };
        match self {
            Format::Html => html::render(&snapshot, full),
            Format::Xml => xml::render(&snapshot, full),
            Format::Json => json::render(&snapshot),
            Format::Prometheus => prometheus::render(&snapshot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(&str, Format); 4] = [
        ("html", Format::Html),
        ("xml", Format::Xml),
        ("json", Format::Json),
        ("prometheus", Format::Prometheus),
    ];

    #[test]
    fn has_the_names_of_the_directive() {
        for (name, format) in ALL {
            assert_eq!(name.parse(), Ok(format));
        }
        assert_eq!("HTML".parse::<Format>(), Err(FormatError));
        assert_eq!("".parse::<Format>(), Err(FormatError));
    }

    #[test]
    fn shows_who_only_when_full() {
        for (name, format) in ALL {
            let shown = format.render(fixture::snapshot(), false);
            for secret in ["192.0.2.", "k0123456789abcdef", "198.51.100."] {
                assert!(!shown.contains(secret), "{name} shows {secret}: {shown}");
            }
            assert!(shown.contains("show"), "{name}");
        }
        for format in [Format::Html, Format::Xml, Format::Json] {
            assert!(format.render(fixture::snapshot(), true).contains("192.0.2.1"), "{format:?}");
        }
        let metrics = Format::Prometheus.render(fixture::snapshot(), true);
        assert_eq!(metrics, Format::Prometheus.render(fixture::snapshot(), false));
    }
}
