//! `weir token mint`

use std::path::Path;

use weir_model::token::chat::ChatClaims;
use weir_model::token::{Action, Claims, MAX_TTL_S, Signer, Subject, TokenId};
use weir_model::{Secret, Timestamp};

use super::applications::{self, Made};
use super::{Error, Output, limits, now, random};
use crate::chat::room::{MOST_NAME, name_of};
use crate::cli::TokenMintArgs;
use crate::nginx::{Nginx, TokenRequest};
use crate::values::ActionName;

/// Mints a token with the secret of a file, without nginx.
pub(super) fn here(args: &TokenMintArgs, file: &Path) -> Result<Output, Error> {
    check(args)?;
    let action = args.action.ok_or_else(|| no_action("with --secret, nginx is not asked"))?;
    let secret =
        std::fs::read_to_string(file).map(Secret::new).map_err(|e| Error::file_of("--secret", file, e))?;
    let signer = Signer::new(secret.expose().as_bytes()).map_err(|e| {
        Error::file_of("--secret", file, format!("{e}; `weir secret new FILE` makes a good one"))
    })?;
    let id = TokenId::random(random()?);
    Ok(match action.of_nginx() {
        Some(action) => {
            let claims = claims(args, action, id, now());
            show(args, &signer.mint(&claims), claims.exp, claims.jti.as_ref())
        }
        None => {
            let claims = chat_claims(args, id, now())?;
            show(args, &signer.mint_chat(&claims), claims.exp, claims.jti.as_ref())
        }
    })
}

/// Returns the claims of a chat token.
fn chat_claims(args: &TokenMintArgs, jti: TokenId, now: Timestamp) -> Result<ChatClaims, Error> {
    let Claims { sub, exp, iat, jti, ip, .. } = claims(args, Action::Play, jti, now);
    let name = Some(chat_name(args)?);
    Ok(ChatClaims { sub, exp, begin: None, iat, jti, ip, name, moderator: args.moderator })
}

fn chat_name(args: &TokenMintArgs) -> Result<String, Error> {
    let Some(written) = &args.name else {
        return Err(Error::Usage("--action chat: name the bearer with --name NAME".into()));
    };
    name_of(written).ok_or_else(|| {
        Error::Usage(format!("--name {written:?}: a name in the chat has 1 to {MOST_NAME} characters"))
    })
}

/// Makes nginx mint the token with nginx's own secret.
pub(super) async fn by_nginx(args: &TokenMintArgs, nginx: &Nginx) -> Result<Output, Error> {
    check(args)?;
    let action = match args.action {
        Some(action) => action,
        None => usual_action(nginx, args.app.as_str()).await?,
    };
    let name = if action == ActionName::Chat { Some(chat_name(args)?) } else { None };
    let request = TokenRequest {
        app: args.app.as_str(),
        stream: &args.stream.to_string(),
        action: action.word(),
        name: name.as_deref(),
        moderator: args.moderator,
        ttl_s: args.ttl.seconds(),
        ip: args.ip,
    };
    let answer = nginx.mint_token(&request).await?;
    let made = match action {
        ActionName::Publish => Some(Made::Key),
        ActionName::Play => Some(Made::PlayToken),
        // nginx.conf says nothing of the chat.
        ActionName::Chat => None,
    };
    let warning = match made {
        Some(made) => applications::warning(nginx, args.app.as_str(), made, args.json.json).await,
        None => String::new(),
    };
    let output = match args.json.json {
        true => Output::json(&answer.text),
        false => format!("{}\n", answer.value.token).into(),
    };
    Ok(Output { stderr: warning, ..output })
}

/// Returns the default action: play, if the application requires a token for playing.
async fn usual_action(nginx: &Nginx, app: &str) -> Result<ActionName, Error> {
    let known = nginx.applications().await?.unwrap_or_default();
    match known.iter().any(|known| known.name == app && known.needs_play_token()) {
        true => Ok(ActionName::Play),
        false => Err(no_action(&format!("no weir_play protects the application \"{app}\""))),
    }
}

fn no_action(why: &str) -> Error {
    Error::Usage(format!("what is the token for? write --action play, publish or chat ({why})"))
}

fn check(args: &TokenMintArgs) -> Result<(), Error> {
    match args.ttl.seconds() {
        0 => Err(Error::Usage("--ttl 0s: a token must be valid for a second at least".into())),
        _ if (args.name.is_some() || args.moderator) && args.action != Some(ActionName::Chat) => {
            Err(Error::Usage("--name and --moderator are for the chat: add --action chat".into()))
        }
        _ => limits::check_at_most("--ttl", Some(args.ttl), MAX_TTL_S),
    }
}

fn claims(args: &TokenMintArgs, act: Action, jti: TokenId, now: Timestamp) -> Claims {
    Claims {
        sub: Subject { app: args.app.clone(), stream: args.stream.0.clone() },
        act,
        // A token holds whole seconds.
        exp: Timestamp::from_millis(now.as_seconds() * 1000).plus_seconds(args.ttl.seconds()),
        nbf: None,
        iat: Some(now),
        jti: Some(jti),
        ip: args.ip,
        yields: false,
    }
}

fn show(args: &TokenMintArgs, token: &Secret, exp: Timestamp, jti: Option<&TokenId>) -> Output {
    if args.json.json {
        let answer = serde_json::json!({ "token": token.expose(), "expires_at": exp, "jti": jti });
        return Output::json(&answer.to_string());
    }
    format!("{}\n", token.expose()).into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, TokenCommand};

    fn args(line: &str) -> TokenMintArgs {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Token(TokenCommand::Mint(args)) = cli.command else { panic!("{line}") };
        args
    }

    #[test]
    fn the_claims_are_what_was_asked_for() {
        let now: Timestamp = "2026-11-20T18:00:00.9Z".parse().unwrap();
        let said = |line| {
            let args = args(line);
            let act = args.action.and_then(ActionName::of_nginx).unwrap_or(Action::Publish);
            let c = claims(&args, act, TokenId::random([0; 12]), now);
            (c.sub.to_string(), c.act.to_string(), c.exp.to_string(), c.ip.map(|ip| ip.to_string()))
        };
        let want = |sub: &str, act: &str, exp: &str, ip: Option<&str>| {
            (sub.to_owned(), act.to_owned(), exp.to_owned(), ip.map(String::from))
        };
        assert_eq!(said("weir token mint live *"), want("live/*", "publish", "2026-11-20T19:00:00Z", None));
        assert_eq!(
            said("weir token mint live show --action play --ttl 90s --ip 192.0.2.0/24"),
            want("live/show", "play", "2026-11-20T18:01:30Z", Some("192.0.2.0/24"))
        );
    }

    #[test]
    fn a_chat_token_names_its_bearer() {
        let now: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        let of = |line: &str| chat_claims(&args(line), TokenId::random([0; 12]), now);
        let claims = of("weir token mint live show --action chat --name Ana --moderator").unwrap();
        assert_eq!((claims.name.as_deref(), claims.moderator), (Some("Ana"), true));
        let line = "weir token mint live show --action chat";
        for (more, why) in [("", "--name NAME"), (" --name \u{200b}", "1 to 32 characters")] {
            assert!(of(&format!("{line}{more}")).unwrap_err().to_string().contains(why), "{more}");
        }
        let wrong = check(&args("weir token mint live show --action play --name Ana")).unwrap_err();
        assert!(wrong.to_string().contains("add --action chat"), "{wrong}");
    }

    #[test]
    fn a_token_without_time_is_wrong_usage() {
        assert_eq!(check(&args("weir token mint live show --ttl 0s")).unwrap_err().exit_status(), 2);
        let error = check(&args("weir token mint live show --ttl 400d")).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_status()), ("--ttl 400d: at most 365d", 2));
        assert!(check(&args("weir token mint live show --ttl 365d")).is_ok());
    }
}
