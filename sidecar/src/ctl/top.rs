//! `weir top`: shows the live streams, refreshed until the user quits.

use std::io::{self, IsTerminal};
use std::pin::pin;

use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Error, Output, now};
use crate::cli::TopArgs;
use crate::nginx::{self, Nginx};
use terminal::{Terminal, TerminalEvent};
use view::{Live, Size, View};

mod terminal;
mod view;

/// Runs `weir top`. Without a terminal, the list is printed once, and an API that does not answer is an error.
pub(super) async fn run(args: &TopArgs, json: bool, nginx: &Nginx) -> Result<Output, Error> {
    if json {
        return as_json(nginx).await;
    }
    if args.once || !io::stdout().is_terminal() {
        let view = View { live: Some(look(nginx).await?), error: None };
        return Ok(format!("{}\n", view::render(&view, None).join("\n")).into());
    }
    watch(args, nginx).await?;
    Ok(Output::default())
}

/// Returns the API's answers unchanged, with the time.
async fn as_json(nginx: &Nginx) -> Result<Output, Error> {
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let (health, streams) = (read(&nginx.health().await?.text), read(&nginx.streams().await?.text));
    Ok(Output::json(&json!({ "at": now(), "health": health, "streams": streams["streams"] }).to_string()))
}

async fn watch(args: &TopArgs, nginx: &Nginx) -> Result<(), Error> {
    let mut ticks = interval(args.interval.0);
    // After a slow answer, the next request waits a full interval; missed requests are not made up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut terminal = Terminal::open().map_err(Error::Terminal)?;
    let mut view = View::default();
    loop {
        let answer = {
            let mut asking = pin!(next(&mut ticks, nginx));
            loop {
                tokio::select! {
                    answer = &mut asking => break answer,
                    event = terminal.event() => match event {
                        TerminalEvent::Leave => return Ok(()),
                        TerminalEvent::Resized => draw(&mut terminal, &view)?,
                    },
                }
            }
        };
        match answer {
            Ok(live) => view = View { live: Some(live), error: None },
            // The last list stays on the screen, below the error.
            Err(error) => view.error = Some(error.to_string()),
        }
        draw(&mut terminal, &view)?;
    }
}

fn draw(terminal: &mut Terminal, view: &View) -> Result<(), Error> {
    let (columns, rows) = terminal.size();
    // The last column stays empty: in some terminals, the sequence that erases the rest of a full line also erases its last
    // character.
    let lines = view::render(view, Some(Size { columns: columns.saturating_sub(1), rows }));
    terminal.draw(&lines).map_err(Error::Terminal)
}

async fn next(ticks: &mut Interval, nginx: &Nginx) -> Result<Live, nginx::Error> {
    ticks.tick().await;
    look(nginx).await
}

async fn look(nginx: &Nginx) -> Result<Live, nginx::Error> {
    let health = nginx.health().await?.value;
    let streams = nginx.streams().await?.value.streams;
    Ok(Live { at: now(), health, streams })
}
