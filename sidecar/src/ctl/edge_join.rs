//! `weir edge join`

use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use nix::unistd::User;
use serde_json::{Value, json};
use weir_model::Secret;

use super::{Error, Output, random};
use crate::cli::edge::EdgeJoinArgs;
use crate::cluster::credential::Credential;
use crate::files::{self, PRIVATE, durable};
use crate::http::{self, innermost};
use crate::relay::said::clean;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Time limit of a request; the origin answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer, in bytes. A credential is shorter by far.
const MOST_BYTES: usize = 64 << 10;

pub(super) async fn run(args: &EdgeJoinArgs) -> Result<Output, Error> {
    let owner = match args.owner.as_deref() {
        None => None,
        Some(name) => match User::from_name(name) {
            Ok(Some(user)) => Some((user.uid.as_raw(), user.gid.as_raw())),
            _ => return Err(Error::Usage(format!("--owner: there is no user {name:?}"))),
        },
    };
    let ticket = std::fs::read_to_string(&args.ticket_file)
        .map_err(|error| Error::file_of("--ticket-file", &args.ticket_file, error))?;
    let ticket = Secret::new(ticket.trim());
    // All attempts use the same number: if an answer was lost, the origin repeats it for this number.
    let user = Secret::new(HEXLOWER.encode(&random::<32>()?));
    let client = http::client().timeout(TIMEOUT).build().map_err(|error| Error::System(innermost(&error)))?;
    let began = Instant::now();
    let credential = loop {
        match ask(&client, args, &ticket, &user).await {
            Ok(credential) => break credential,
            Err(Trouble::Refused(why)) => {
                return Err(Error::System(format!("the origin refuses the ticket: {why}")));
            }
            Err(Trouble::Away(why)) if began.elapsed() >= args.timeout.0 => {
                return Err(Error::System(format!("no answer from {}: {why}", args.origin.as_str())));
            }
            Err(Trouble::Away(_)) => tokio::time::sleep(PAUSE).await,
        }
    };
    let file = &args.credential_file;
    let unfinished = file.with_extension("new");
    match durable::replace_for(owner, file, &unfinished, PRIVATE.file, credential.text().expose().as_bytes())
    {
        Ok(sure) => files::warn_if_uncertain(sure, "the credential", file),
        Err(error) => return Err(Error::file(file, error)),
    }
    let id = &credential.claim.id;
    if args.json.json {
        return Ok(Output::json(&json!({ "id": id, "credential_file": file }).to_string()));
    }
    Ok(format!("{} has the credential of {id} for [edge] of weir.toml.\n", file.display()).into())
}

enum Trouble {
    /// The origin refuses; retrying is useless.
    Refused(String),
    /// The origin does not answer; the command retries.
    Away(String),
}

async fn ask(
    client: &reqwest::Client,
    args: &EdgeJoinArgs,
    ticket: &Secret,
    user: &Secret,
) -> Result<Credential, Trouble> {
    let away = |error: reqwest::Error| Trouble::Away(innermost(&error));
    let url = format!("{}/v1/edges/join", args.origin.as_str());
    let body = json!({ "ticket": ticket.expose(), "user": user.expose() }).to_string();
    let request = client.post(url).header("content-type", "application/json").body(body);
    let response = request.send().await.map_err(away)?;
    let status = response.status();
    let body = http::body(response, MOST_BYTES).await.map_err(|error| Trouble::Away(error.to_string()))?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = || clean(answer["error"]["message"].as_str().unwrap_or("it is no origin"));
    match status.as_u16() {
        200 => {
            let text = answer["credential"].as_str().unwrap_or_default();
            text.parse().map_err(|_| Trouble::Refused("what answers there is no origin".into()))
        }
        403 | 404 => Err(Trouble::Refused(format!("status {status}: {}", message()))),
        _ => Err(Trouble::Away(format!("status {status}: {}", message()))),
    }
}
