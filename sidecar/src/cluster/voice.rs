//! An edge speaks for its viewers at the origin: it names the address of a viewer in a signed header.

use std::net::IpAddr;

use super::credential::Claim;
use super::signature::{self, Key, Purpose, Refused};
use crate::clock;

/// Header with the address of a viewer and the edge's signature, beside the header of the edge's credential.
pub(crate) const HEADER: &str = "weir-viewer";

fn text(viewer: IpAddr) -> String {
    format!("weir-viewer-1 {viewer}")
}

/// Returns the header's value, or `None` if the system has no random bytes. `time` is by the origin's clock, in milliseconds since 1970.
pub(crate) fn sign(key: &Key, viewer: IpAddr, time: u64) -> Option<String> {
    let signed = key.sign(Purpose::Request, time, &signature::nonce()?, text(viewer).as_bytes());
    Some(format!("{viewer} {signed}"))
}

/// Returns the address of the viewer. `edge` is the header with the claim of an edge that has a credential.
///
/// A header is valid for some seconds. Anybody who reads the traffic between an edge and the origin can repeat it during that time.
///
/// # Errors
///
/// [`Refused`], but not [`Refused::Replayed`].
pub(crate) fn viewer(cluster: &Key, value: &str, edge: Option<&str>) -> Result<IpAddr, Refused> {
    let (address, signed) = value.split_once(' ').ok_or(Refused::Signature)?;
    let viewer: IpAddr = address.parse().map_err(|_| Refused::Signature)?;
    let claim = edge.map(|edge| Claim::parse(edge).ok_or(Refused::Credential)).transpose()?;
    let own = claim.as_ref().and_then(|claim| claim.key(cluster));
    let key = own.as_ref().map_or(cluster, |(key, _)| key);
    let now = clock::now();
    signature::request(key, Some(signed), text(viewer).as_bytes(), now.as_millis())?;
    match claim.is_some_and(|claim| claim.is_over(now)) {
        true => Err(Refused::Credential),
        false => Ok(viewer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::credential::Credential;

    #[test]
    fn only_edges_speak_for_viewers() {
        let cluster = Key::new(&[7; 32]).unwrap();
        let (ana, now) = ("192.0.2.1".parse().unwrap(), clock::now().as_millis());
        let value = sign(&cluster, ana, now).unwrap();
        assert_eq!(viewer(&cluster, &value, None), Ok(ana));
        assert_eq!(
            viewer(&cluster, &value.replacen("192.0.2.1", "192.0.2.2", 1), None),
            Err(Refused::Signature)
        );
        assert_eq!(
            viewer(&Key::new(&[8; 32]).unwrap(), &value, None),
            Err(Refused::Signature),
            "another cluster"
        );
        let old = sign(&cluster, ana, now - 60_000).unwrap();
        assert!(matches!(viewer(&cluster, &old, None), Err(Refused::Clock(_))));
        for wrong in ["", "192.0.2.1", "x y", "192.0.2.1 Weir-Cluster time=1"] {
            assert_eq!(viewer(&cluster, wrong, None), Err(Refused::Signature), "{wrong}");
        }
        // An edge with a credential.
        let issue = |until| Credential::issue(&cluster, "one".parse().unwrap(), until).unwrap();
        let rented = issue(clock::now().as_seconds() + 60);
        let value = sign(&rented.key, ana, now).unwrap();
        assert_eq!(viewer(&cluster, &value, Some(&rented.claim.header())), Ok(ana));
        assert_eq!(viewer(&cluster, &value, None), Err(Refused::Signature));
        assert_eq!(viewer(&cluster, &value, Some("one")), Err(Refused::Credential));
        let over = issue(clock::now().as_seconds() - 1);
        let value = sign(&over.key, ana, now).unwrap();
        assert_eq!(viewer(&cluster, &value, Some(&over.claim.header())), Err(Refused::Credential));
    }
}
