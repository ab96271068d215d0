//! Keeps tasks of this process running like programs: with the same states, waits and orders.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::backoff::Backoff;
use super::job::{Action, Exit, Input, Job, Policy};
use super::output::Line;
use super::{Order, RunEnd, Shared, report};
use crate::clock;

/// Stall limit of tasks: a task detects by itself that it is stuck.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Runs a task again and again until it gets an order to stop. Each run must end early when [`Shared::closing`] becomes true, and is
/// dropped if it takes longer than `grace`. `stream` is `APP/NAME`, and `id` is the name of the job.
pub(crate) async fn run<F, E>(
    (stream, id): (&str, &str),
    (backoff, grace, healthy): (Backoff, Duration, Duration),
    shared: &Arc<Shared>,
    commands: &mut mpsc::Receiver<Order>,
    begin: impl Fn() -> F,
) where
    F: Future<Output = Result<(), E>> + Send,
    E: Display,
{
    let policy = Policy { stall: FOR_EVER, starve: FOR_EVER, warm_up: FOR_EVER, grace, backoff, healthy };
    let origin = Instant::now();
    let mut job = Job::new(policy);
    let mut work: Option<Pin<Box<F>>> = None;
    let mut input = Input::Tick;
    loop {
        let action = job.step(origin.elapsed(), input, clock::random_u32());
        report(stream, id, shared, &job);
        input = match action {
            Some(Action::Start) => {
                shared.closing.send_replace(false);
                shared.output.begin();
                work = Some(Box::pin(begin()));
                Input::Started
            }
            Some(Action::Kill(_)) => {
                work = None;
                Input::Exited(Exit::Failed)
            }
            Some(Action::End) => return,
            Some(Action::Interrupt) => {
                shared.closing.send_replace(true);
                next(&mut work, &job, origin, shared, commands).await
            }
            None => next(&mut work, &job, origin, shared, commands).await,
        };
        if let Input::Exited(_) = input {
            work = None;
        }
    }
}

async fn next<F, E>(
    work: &mut Option<Pin<Box<F>>>,
    job: &Job,
    origin: Instant,
    shared: &Shared,
    commands: &mut mpsc::Receiver<Order>,
) -> Input
where
    F: Future<Output = Result<(), E>> + Send,
    E: Display,
{
    let ended = async {
        match work {
            Some(work) => work.await,
            None => std::future::pending().await,
        }
    };
    let deadline = job.deadline().map(|at| (origin + at).into());
    tokio::select! {
        command = commands.recv() => match command {
            Some(Order::Restart) => Input::Restart,
            // The sender of the orders is gone.
            Some(Order::Stop) | None => Input::Stop,
        },
        result = ended => end(result, shared),
        () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => Input::Tick,
    }
}

fn end(result: Result<(), impl Display>, shared: &Shared) -> Input {
    let is_told = shared.is_told_to_end();
    let error = result.err().filter(|_| !is_told).map(|error| error.to_string());
    if let Some(error) = &error {
        shared.output.push(Line { at: clock::now(), level: "error", text: error.clone() });
    }
    shared.update(|status| {
        status.last_exit = Some(error.clone().unwrap_or_else(|| "ended".into()));
        if error.is_some() {
            status.last_error.clone_from(&error);
        }
    });
    let exit = if error.is_some() { Exit::Failed } else { Exit::Clean };
    shared.ended.send_replace(RunEnd { error, is_told });
    Input::Exited(exit)
}
