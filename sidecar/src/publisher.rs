//! Publishing and playing over RTMP, from this process.

use weir_rtmp::client::{ClientEvent, Status};
use weir_rtmp::url::Url;

mod error;
pub(crate) mod link;
pub(crate) mod token;

pub(crate) use error::{Error, is_invalid_token};
use link::Link;

/// Waits for `NetStream.Publish.Start`.
pub(crate) async fn accepted(link: &mut Link, url: &Url) -> Result<(), Error> {
    let refused = |why| Error::Refused { url: url.to_string(), why };
    let mut connected = false;
    while !link.client.is_publishing() {
        link.turn().await?;
        while let Some(event) = link.client.next_event() {
            match event {
                ClientEvent::Connected => connected = true,
                ClientEvent::Status(status) if status.level == "error" => {
                    return Err(refused(words(&status)));
                }
                ClientEvent::Closed if !connected => {
                    return Err(Error::NoApplication { url: url.to_string() });
                }
                ClientEvent::Closed => {
                    return Err(refused("it closed the connection without a reason".into()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A server's status on one line.
pub(crate) fn words(status: &Status) -> String {
    let text = match (status.code.as_str(), status.description.as_str()) {
        ("", description) => description.to_owned(),
        (code, "") => code.to_owned(),
        (code, description) => format!("{description} ({code})"),
    };
    weir_model::text::clean(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        let status = |code: &str, description: &str| {
            words(&Status { code: code.into(), description: description.into(), level: "error".into() })
        };
        assert_eq!(
            status("NetStream.Publish.BadName", "unknown\nkey"),
            "unknown key (NetStream.Publish.BadName)"
        );
        assert_eq!(status("NetStream.Publish.BadName", ""), "NetStream.Publish.BadName");
    }

    #[test]
    fn a_minted_token_that_is_invalid_has_a_remedy() {
        let said = |why: &str| {
            let url = "rtmp://127.0.0.1/live".to_owned();
            Error::Refused { url, why: why.to_owned() }.of_minted().to_string()
        };
        let invalid = said("invalid token (NetStream.Publish.Denied)");
        assert!(invalid.contains("(NetStream.Publish.Denied): secret_file of [nginx]"), "{invalid}");
        assert!(said("token expired (NetStream.Publish.Denied)").ends_with("(NetStream.Publish.Denied)"));
    }
}
