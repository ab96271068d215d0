//! A new key, as the two lines that OBS asks for.

use super::Output;
use crate::cli::{ApiArgs, ServerArg};
use crate::nginx::{Answer, FreshKey};

/// The only output that holds a key.
pub fn fresh_key(answer: &Answer<FreshKey>, json: bool, server: &ServerArg, api: &ApiArgs) -> Output {
    let FreshKey { about, key } = &answer.value;
    let id = &about.id;
    let if_unread = Some(format!("; nobody read the key: `weir key rotate {id}` makes another"));
    if json {
        return Output { if_unread, ..Output::json(&answer.text) };
    }
    let host = server.server.as_ref().map_or(api.api.host(), |host| &host.0);
    let mut stdout = format!("Key:        {id} for {}/{}", about.app, about.stream);
    if let Some(end) = about.expires_at {
        stdout.push_str(&format!(", until {end}"));
    }
    if let Some(end) = about.previous_valid_until {
        stdout.push_str(&format!("; the old one is valid until {end}"));
    }
    stdout.push_str(&format!("\nServer:     rtmp://{host}/{}\nStream key: {}\n", about.app, key.expose()));
    Output { stdout, stderr: "The stream key is shown only this once.\n".into(), if_unread }
}
