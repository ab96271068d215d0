//! `weir top`: shows the live streams and the running inputs, refreshed until the user quits.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::job_list::{Answer, PATH};
use super::{Error, Output, now};
use crate::cli::TopArgs;
use crate::daemon::client::{self, Client};
use crate::jobs;
use crate::nginx::{self, Nginx};
use terminal::{Terminal, TerminalEvent};
use view::{Inputs, Live, Size, View};

mod terminal;
mod view;

/// Longest wait for the daemon, so that a daemon that hangs does not hide what nginx answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `weir top`. Without a terminal, the list is printed once, and an API that does not answer is an error.
pub(super) async fn run(args: &TopArgs, json: bool, nginx: &Nginx) -> Result<Output, Error> {
    let socket = &args.daemon.socket;
    if json {
        return as_json(nginx, socket).await;
    }
    if args.once || !io::stdout().is_terminal() {
        let view = View { live: Some(look(nginx, socket).await?), error: None };
        return Ok(format!("{}\n", view::render(&view, None).join("\n")).into());
    }
    watch(args, nginx).await?;
    Ok(Output::default())
}

/// Returns the API's answers unchanged, with the time. `inputs` is null if the daemon does not answer.
async fn as_json(nginx: &Nginx, socket: &Path) -> Result<Output, Error> {
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let (health, streams) = (read(&nginx.health().await?.text), read(&nginx.streams().await?.text));
    let inputs = match inputs(socket).await {
        Inputs::These(inputs) => Some(inputs),
        Inputs::Unknown(_) => None,
    };
    let all = json!({ "at": now(), "health": health, "streams": streams["streams"], "inputs": inputs });
    Ok(Output::json(&all.to_string()))
}

/// Returns the running inputs of the daemon.
async fn inputs(socket: &Path) -> Inputs {
    match timeout(PATIENCE, asked(socket)).await {
        Ok(Ok(inputs)) => Inputs::These(inputs),
        Ok(Err(error)) => Inputs::Unknown(error.to_string()),
        Err(_) => Inputs::Unknown(format!("weir serve does not answer within {PATIENCE:?}")),
    }
}

async fn asked(socket: &Path) -> Result<Vec<jobs::View>, client::Error> {
    let text = Client::new(socket)?.ask(Method::GET, &PATH).await?;
    let answer: Answer = serde_json::from_str(&text)
        .map_err(|_| client::Error::NotTheDaemon { socket: socket.display().to_string() })?;
    Ok(answer.jobs.into_iter().filter(|job| job.id.ends_with("/input")).collect())
}

async fn watch(args: &TopArgs, nginx: &Nginx) -> Result<(), Error> {
    let mut ticks = interval(args.interval.0);
    // After a slow answer, the next request waits a full interval; missed requests are not made up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut terminal = Terminal::open().map_err(Error::Terminal)?;
    let mut view = View::default();
    loop {
        let answer = {
            let mut asking = pin!(next(&mut ticks, nginx, &args.daemon.socket));
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

async fn next(ticks: &mut Interval, nginx: &Nginx, socket: &Path) -> Result<Live, nginx::Error> {
    ticks.tick().await;
    look(nginx, socket).await
}

async fn look(nginx: &Nginx, socket: &Path) -> Result<Live, nginx::Error> {
    let health = nginx.health().await?.value;
    let streams = nginx.streams().await?.value.streams;
    // nginx also runs without a daemon.
    let inputs = match socket.exists() {
        true => inputs(socket).await,
        false => Inputs::default(),
    };
    Ok(Live { at: now(), health, streams, inputs })
}
