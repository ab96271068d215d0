//! `weir stream drop`

use super::{Error, Output};
use crate::cli::StreamDropArgs;
use crate::cli::values::Span;
use crate::nginx::Nginx;

pub async fn run(args: &StreamDropArgs, nginx: &Nginx) -> Result<Output, Error> {
    let (app, name) = (&args.app, &args.name);
    let answer = match &args.player {
        Some(player) => nginx.drop_player(app, name, player).await?,
        None => nginx.drop_publisher(app, name, args.ban.map_or(0, Span::seconds)).await?,
    };
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let who = match &args.player {
        Some(player) => format!("player {player} of {app}/{name}"),
        None => format!("the publisher of {app}/{name}"),
    };
    let what = match answer.value.dropped {
        0 => format!("Nothing to drop: {who} was leaving already"),
        _ => format!("Dropped {who}"),
    };
    let ban = answer.value.banned_until.map(|until| format!("; its key is refused until {until}"));
    Ok(format!("{what}{}.\n", ban.unwrap_or_default()).into())
}
