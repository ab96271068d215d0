//! The credential of an edge that must not have the secret of the cluster: a key that is derived from the secret, for one name and until
//! one time.
//!
//! The origin derives the same key from the name and the time that the edge sends in a header, so the origin stores nothing. An attacker
//! who breaks into a rented server can act as this edge until that time, and as no other edge.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use data_encoding::HEXLOWER;
use weir_model::{Secret, Timestamp};

use super::record::EdgeId;
use super::signature::Key;

/// Header with the [`Claim`], beside the signature's header.
pub(crate) const HEADER: &str = "weir-edge";
/// Start of the file.
const FORMAT: &str = "weir-edge-1";

/// Owner and end of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Name of the edge.
    pub id: EdgeId,
    /// End in seconds since 1970.
    pub until: u64,
}

/// The credential of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// Owner and end.
    pub claim: Claim,
    /// Signing key.
    pub key: Key,
    hex: Secret,
}

/// Reason why a file contains no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[edge]: credential_file: {}: {why}", path.display())]
pub(crate) struct CredentialError {
    path: PathBuf,
    why: String,
}

impl Claim {
    /// Returns the header's value.
    pub(crate) fn header(&self) -> String {
        format!("{} {}", self.id, self.until)
    }

    /// Parses a header's value.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (id, until) = value.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, until: until.parse().ok()? })
    }

    /// Derives the key of this edge from the secret of the cluster.
    pub(crate) fn key(&self, cluster: &Key) -> Option<(Key, Secret)> {
        let bytes = cluster.derive(&format!("{FORMAT}\n{}\n{}\n", self.id, self.until))?;
        Some((Key::new(&bytes)?, Secret::new(HEXLOWER.encode(&bytes))))
    }

    /// Returns whether the credential has expired.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.as_seconds() >= self.until
    }
}

impl Credential {
    /// Issues the credential of an edge, with the secret of the cluster.
    pub(crate) fn issue(cluster: &Key, id: EdgeId, until: u64) -> Option<Self> {
        let claim = Claim { id, until };
        let (key, hex) = claim.key(cluster)?;
        Some(Self { claim, key, hex })
    }

    /// Returns the content of the file.
    pub(crate) fn text(&self) -> Secret {
        Secret::new(format!("{FORMAT} {} {} {}\n", self.claim.id, self.claim.until, self.hex.expose()))
    }

    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, CredentialError> {
        let failed = |why: String| CredentialError { path: path.into(), why };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        text.parse().map_err(|NoCredential| failed("is no credential: weir edge join writes one".into()))
    }
}

/// Error of a text that is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no credential")]
pub(crate) struct NoCredential;

impl FromStr for Credential {
    type Err = NoCredential;
    fn from_str(text: &str) -> Result<Self, NoCredential> {
        let mut words = text.split_whitespace();
        let mut next = || words.next().ok_or(NoCredential);
        let (format, id, until, hex) = (next()?, next()?, next()?, next()?);
        let key =
            HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| Key::new(&bytes)).ok_or(NoCredential)?;
        let claim = Claim {
            id: id.parse().map_err(|_| NoCredential)?,
            until: until.parse().map_err(|_| NoCredential)?,
        };
        (format == FORMAT).then(|| Self { claim, key, hex: Secret::new(hex) }).ok_or(NoCredential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_one_edge_and_one_time() {
        let cluster = Key::new(&[7; 32]).unwrap();
        let issue = |id: &str, until| Credential::issue(&cluster, id.parse().unwrap(), until).unwrap();
        let one = issue("gala-1", 1000);
        assert!(one.key != issue("gala-2", 1000).key && one.key != issue("gala-1", 1001).key);
        assert!(one.key != cluster);
        let claim = Claim::parse(&one.claim.header()).unwrap();
        assert!(claim.key(&cluster).unwrap().0 == one.key);
        assert!(
            claim.is_over(Timestamp::from_millis(1_000_000))
                && !claim.is_over(Timestamp::from_millis(999_999))
        );
        let read: Credential = one.text().expose().parse().unwrap();
        assert!(read.claim == one.claim && read.key == one.key);
        assert!(!format!("{one:?}").contains(one.hex.expose()));
        for bad in ["", "weir-edge-1 gala-1 1000", "weir-edge-2 gala-1 1 00", "weir-edge-1 a/b 1 00"] {
            assert!(bad.parse::<Credential>().is_err(), "{bad}");
        }
    }
}
