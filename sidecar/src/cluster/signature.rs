//! Signed requests between the nodes of a cluster: HMAC-SHA256 with the cluster's secret, over a time and a nonce.
//!
//! `Authorization: Weir-Cluster time=MILLISECONDS,nonce=HEX,signature=HEX`. The answer is signed over the same nonce.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use weir_model::Secret;
use weir_model::replica::replica_token;

/// Start of the header's value.
const SCHEME: &str = "Weir-Cluster ";
/// Shortest secret, in bytes.
const MIN_SECRET: usize = 32;
/// Length of a nonce, in bytes.
const NONCE: usize = 16;
/// Largest accepted difference between the time of a request and the origin's clock, in milliseconds.
pub(crate) const WINDOW_MS: u64 = 30_000;

/// The secret that the nodes of a cluster share.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// Key of `[cluster]` that names the file of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretOf {
    /// `secret_file`: all nodes of the cluster have it.
    Cluster,
    /// `pair_secret_file`: the two nodes of a pair have it.
    Pair,
}

impl SecretOf {
    /// Returns the key.
    fn key(self) -> &'static str {
        match self {
            Self::Cluster => "secret_file",
            Self::Pair => "pair_secret_file",
        }
    }

    /// Returns how to get a file that is missing.
    pub(crate) fn remedy(self, path: &Path) -> String {
        let (first, others) = match self {
            Self::Cluster => ("the origin", "all other nodes"),
            Self::Pair => ("one node", "the other node"),
        };
        let path = path.display();
        format!("weir secret new --owner weir {path} makes it on {first}; copy it from there to {others}")
    }
}

/// Reason why a file contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[cluster]: {}: {}: {why}", of.key(), path.display())]
pub(crate) struct KeyError {
    of: SecretOf,
    path: PathBuf,
    why: String,
}

/// Purpose of a signature. It differs, so that a request cannot be used as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// From an edge.
    Request,
    /// From an origin.
    Answer,
}

/// A signature with its time and nonce, without the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Time by the sender's clock, in milliseconds since 1970.
    pub time: u64,
    /// Nonce in hex digits.
    pub nonce: String,
    signature: String,
}

/// Reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The request has no valid signature.
    #[error(
        "the request is not signed with the secret of this server: secret_file of [cluster], or pair_secret_file in a pair, must hold the \
         same on both machines"
    )]
    Signature,
    /// The credential is for another edge, or has expired.
    #[error(
        "the credential is not of this edge, or it is over: weir edge ticket NAME on the origin and weir edge join on the edge make a new one"
    )]
    Credential,
    /// The request was signed long ago, or in the future.
    #[error("the clocks differ by {} s: this request is from {}", .0.unsigned_abs() / 1000, if *.0 < 0 { "the past" } else { "the future" })]
    Clock(i64),
    /// This request or a later one has arrived before.
    #[error("the request is not newer than the last one of this edge")]
    Replayed,
}

impl Key {
    /// Reads the secret of a file, without blanks around it.
    pub(crate) fn read(of: SecretOf, path: &Path) -> Result<Self, KeyError> {
        let failed = |why: String| KeyError { of, path: path.into(), why };
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed(format!("the file is missing: {}", of.remedy(path))),
            _ => failed(error.to_string()),
        })?;
        Self::new(text.trim().as_bytes())
            .ok_or_else(|| failed("must have at least 32 bytes: weir secret new FILE makes one".into()))
    }

    /// Returns `None` if the secret is too short.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= MIN_SECRET).then(|| Self(bytes.to_vec()))
    }

    /// Derives bytes that nobody can compute without this key. They differ for each text.
    pub(crate) fn derive(&self, text: &str) -> Option<[u8; 32]> {
        // An error is impossible: HMAC accepts a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(text.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }

    /// Returns the bearer token of the module's `/v1/replica`.
    pub(crate) fn replica_token(&self) -> Option<Secret> {
        replica_token(&self.0)
    }

    fn mac(&self, purpose: Purpose, time: u64, nonce: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        let word = match purpose {
            Purpose::Request => "request",
            Purpose::Answer => "answer",
        };
        // An error is impossible: HMAC accepts a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("weir-cluster-1\n{word}\n{time}\n{nonce}\n").as_bytes());
        mac.update(body);
        Some(mac)
    }

    /// Returns the header's value for a body.
    pub(crate) fn sign(&self, purpose: Purpose, time: u64, nonce: &str, body: &[u8]) -> String {
        let mac = self.mac(purpose, time, nonce, body);
        let signature = mac.map(|mac| HEXLOWER.encode(&mac.finalize().into_bytes())).unwrap_or_default();
        format!("{SCHEME}time={time},nonce={nonce},signature={signature}")
    }

    /// Returns whether this was signed with the secret. Compares in constant time.
    pub(crate) fn verify(&self, purpose: Purpose, signed: &Signed, body: &[u8]) -> bool {
        let Ok(signature) = HEXLOWER.decode(signed.signature.as_bytes()) else { return false };
        self.mac(purpose, signed.time, &signed.nonce, body)
            .is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    }
}

impl Signed {
    /// Parses a header's value.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.strip_prefix(SCHEME)?.splitn(3, ',');
        let mut part = |name: &str| parts.next()?.trim().strip_prefix(name)?.strip_prefix('=');
        let (time, nonce, signature) = (part("time")?.parse().ok()?, part("nonce")?, part("signature")?);
        let is_nonce = nonce.len() == 2 * NONCE && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_nonce.then(|| Self { time, nonce: nonce.to_owned(), signature: signature.to_owned() })
    }
}

/// Returns a new nonce, or `None` if the system has no random bytes.
pub(crate) fn nonce() -> Option<String> {
    let mut bytes = [0; NONCE];
    getrandom::fill(&mut bytes).ok()?;
    Some(HEXLOWER.encode(&bytes))
}

/// Reads a request, and checks its signature and time. `now` is in milliseconds since 1970.
///
/// # Errors
///
/// [`Refused::Signature`] and [`Refused::Clock`]. The caller must check for a replay.
pub(crate) fn request(key: &Key, header: Option<&str>, body: &[u8], now: u64) -> Result<Signed, Refused> {
    let signed = header.and_then(Signed::parse).ok_or(Refused::Signature)?;
    if !key.verify(Purpose::Request, &signed, body) {
        return Err(Refused::Signature);
    }
    if now.abs_diff(signed.time) > WINDOW_MS {
        return Err(Refused::Clock(
            i64::try_from(i128::from(signed.time) - i128::from(now)).unwrap_or(i64::MAX),
        ));
    }
    Ok(signed)
}

/// Checks that a request is not from before the start of this daemon, because it may have arrived then. `now` and `uptime` are of the same
/// moment. The start is a time of the present clock, because the clock may have been set since the start.
///
/// # Errors
///
/// [`Refused::Clock`].
pub(crate) fn check_start(signed: &Signed, now: u64, uptime: Duration) -> Result<(), Refused> {
    let started = now.saturating_sub(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX));
    match i64::try_from(started.saturating_sub(signed.time)).unwrap_or(i64::MAX) {
        0 => Ok(()),
        since => Err(Refused::Clock(-since)),
    }
}

/// Returns whether a request is newer than the last one of its sender, which has arrived at the time `arrived` of the present clock. If the
/// last one is further ahead of this time than any request may be, the clock has been set back since, and the last one does not count.
pub(crate) fn is_newer(sent: u64, last: u64, arrived: u64) -> bool {
    sent > last || last > arrived.saturating_add(WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_refuses_nobody() {
        let at = |time| Signed { time, nonce: String::new(), signature: String::new() };
        let up = Duration::from_secs(60);
        // The start was at 940 000.
        assert_eq!(check_start(&at(940_000), 1_000_000, up), Ok(()));
        assert_eq!(check_start(&at(939_000), 1_000_000, up), Err(Refused::Clock(-1000)));
        // The clock is set back by 500 seconds, and ahead by as much.
        assert_eq!(check_start(&at(500_000), 500_000, up), Ok(()));
        assert_eq!(check_start(&at(439_000), 500_000, up), Err(Refused::Clock(-1000)));
        assert_eq!(check_start(&at(1_000_000), 1_500_000, up), Err(Refused::Clock(-440_000)));
        assert_eq!(check_start(&at(0), 1000, up), Ok(()));

        assert!(is_newer(11, 10, 10) && !is_newer(10, 10, 10) && !is_newer(9, 10, 10));
        assert!(!is_newer(10, 30_010, 10), "the sender's clock is ahead");
        assert!(is_newer(10, 30_011, 10), "this clock was ahead");
        // The clock is set back by 31 seconds, 2 seconds after the last request. It shows 70 000 then, so that request came at 68 000.
        assert!(is_newer(70_000, 99_000, 68_000));
    }

    #[test]
    fn the_error_of_a_missing_file_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.secret");
        let said = |of| Key::read(of, &path).unwrap_err().to_string();
        let shown = path.display();
        assert_eq!(
            said(SecretOf::Cluster),
            format!(
                "[cluster]: secret_file: {shown}: the file is missing: weir secret new --owner weir {shown} makes it on the origin; \
                 copy it from there to all other nodes"
            )
        );
        let pair = said(SecretOf::Pair);
        assert!(
            pair.starts_with("[cluster]: pair_secret_file: ") && pair.ends_with(" to the other node"),
            "{pair}"
        );
        std::fs::write(&path, "short").unwrap();
        assert!(said(SecretOf::Cluster).contains("must have at least 32 bytes"));
    }

    #[test]
    fn only_what_was_signed_lately_is_taken() {
        let key = Key::new(&[7; 32]).unwrap();
        let nonce = nonce().unwrap();
        let header = key.sign(Purpose::Request, 100_000, &nonce, b"body");
        let ask = |header: &str, body: &[u8], now| request(&key, Some(header), body, now);
        assert_eq!(ask(&header, b"body", 110_000).unwrap().time, 100_000);
        assert_eq!(ask(&header, b"bodY", 100_000), Err(Refused::Signature));
        let late = ask(&header, b"body", 140_000).unwrap_err();
        assert_eq!(late, Refused::Clock(-40_000));
        assert_eq!(late.to_string(), "the clocks differ by 40 s: this request is from the past");
        assert!(matches!(ask(&header, b"body", 60_000), Err(Refused::Clock(40_000))));
        for forged in [
            header.replace("time=100000", "time=100001"),
            header.replace(&nonce, &"0".repeat(32)),
            key.sign(Purpose::Answer, 100_000, &nonce, b"body"),
            Key::new(&[8; 32]).unwrap().sign(Purpose::Request, 100_000, &nonce, b"body"),
            "Bearer x".into(),
            SCHEME.into(),
        ] {
            assert_eq!(ask(&forged, b"body", 100_000), Err(Refused::Signature), "{forged}");
        }
        assert_eq!(request(&key, None, b"body", 100_000), Err(Refused::Signature));
        assert_eq!((Key::new(&[7; 31]), format!("{key:?}")), (None, "Key([redacted])".into()));
    }
}
