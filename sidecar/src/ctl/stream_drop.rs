//! `weir stream drop`

use reqwest::StatusCode;

use super::table::{plain, unquoted};
use super::{Error, Output, limits};
use crate::cli::StreamDropArgs;
use crate::nginx::{self, Answer, Dropped, Nginx};
use crate::values::Span;

/// Maximum ban in seconds, as in the module.
const MAX_BAN_S: u64 = 86_400;

pub(super) async fn run(args: &StreamDropArgs, nginx: &Nginx) -> Result<Output, Error> {
    limits::check_at_most("--ban", args.ban, MAX_BAN_S)?;
    let (app, name) = (args.app.to_string_lossy().into_owned(), args.name.to_string_lossy().into_owned());
    let mut asked = drop(args, &app, &name, nginx).await;
    // The list shows some names percent-encoded; a name may also only look percent-encoded.
    let (read_app, read_name) = (unquoted(&app), unquoted(&name));
    if is_unknown(&asked) && (read_app != app || read_name != name) {
        asked = drop(args, &read_app, &read_name, nginx).await;
    }
    let answer = asked?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let stream = plain(format!("{app}/{name}"));
    let who = match (&args.player, answer.value.dropped) {
        (Some(player), _) => format!("player {player} of {stream}"),
        (None, many @ 2..) => format!("the {many} publishers of {stream}, one per server block"),
        (None, _) => format!("the publisher of {stream}"),
    };
    let what = match answer.value.dropped {
        0 => format!("Nothing to drop: {who} was already disconnecting"),
        _ => format!("Dropped {who}"),
    };
    let ban = answer.value.banned_until.map(|until| format!("; its key is refused until {until}"));
    Ok(format!("{what}{}.\n", ban.unwrap_or_default()).into())
}

async fn drop(
    args: &StreamDropArgs,
    app: &str,
    name: &str,
    nginx: &Nginx,
) -> Result<Answer<Dropped>, nginx::Error> {
    match &args.player {
        Some(player) => nginx.drop_player(app, name, player).await,
        None => {
            let server = args.block.server_block.as_ref();
            nginx.drop_publisher(app, name, server, args.ban.map_or(0, Span::seconds)).await
        }
    }
}

fn is_unknown(asked: &Result<Answer<Dropped>, nginx::Error>) -> bool {
    matches!(asked, Err(nginx::Error::Refused { status: StatusCode::NOT_FOUND, .. }))
}
