//! Starts programs for events. A program gets the event on standard input, and its names in the environment. It is never a shell.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::queue::Message;
use crate::config::hooks::HookCommand;
use crate::supervise::{child, output};

/// Most events that wait for a command.
const MAX_WAITING: usize = 1000;

/// Runner of one `[hooks.command.NAME]`.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Settings.
    pub command: HookCommand,
    room: Semaphore,
    waiting: AtomicUsize,
}

impl Runner {
    /// Returns a runner that has started nothing yet.
    pub(crate) fn new(command: HookCommand) -> Arc<Self> {
        let room = Semaphore::new(command.max_running);
        Arc::new(Self { command, room, waiting: AtomicUsize::new(0) })
    }

    /// Starts the command for an event, immediately or when another run has ended.
    pub(crate) fn offer(self: &Arc<Self>, message: &Arc<Message>, data: &Value) {
        let name = &self.command.name;
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(
                "command not run: {MAX_WAITING} events wait for it, command: {name:?}, event: {}",
                message.kind
            );
            return;
        }
        let (runner, message) = (self.clone(), message.clone());
        let environment = environment(&message, data);
        tokio::spawn(async move {
            // An error is impossible: the semaphore is never closed.
            let _room = runner.room.acquire().await;
            runner.waiting.fetch_sub(1, Ordering::Relaxed);
            runner.run(&message, environment).await;
        });
    }

    async fn run(&self, message: &Message, environment: Vec<(&'static str, String)>) {
        let (name, kind) = (&self.command.name, &message.kind);
        match self.attempt(message, environment).await {
            Ok(Some(status)) if status.success() => {
                tracing::debug!("command done, command: {name:?}, event: {kind}")
            }
            Ok(Some(status)) => tracing::warn!("command failed: {status}, command: {name:?}, event: {kind}"),
            Ok(None) => {
                let seconds = self.command.timeout.as_secs();
                tracing::warn!(
                    "command killed: it took more than {seconds} s, command: {name:?}, event: {kind}"
                );
            }
            Err(error) => tracing::error!("command not run: {error}, command: {name:?}, event: {kind}"),
        }
    }

    /// Runs the command once. Returns `None` if it took too long.
    async fn attempt(
        &self,
        message: &Message,
        environment: Vec<(&'static str, String)>,
    ) -> std::io::Result<Option<ExitStatus>> {
        let (program, arguments) = self.command.run.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let mut process = child::command(Path::new(program), &arguments, 0)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let group = process.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let name = self.command.name.clone();
        let tell = move |line: String| tracing::info!("{line}, command: {name:?}");
        let errors = process.stderr.take().map(|errors| tokio::spawn(output::listen(errors, tell)));
        let (input, body) = (process.stdin.take(), message.body.clone());
        let write = async {
            if let Some(mut input) = input {
                // An error means that the command does not read its input.
                let _ = input.write_all(body.as_bytes()).await;
            }
        };
        let all = async { tokio::join!(write, process.wait()).1 };
        let ended = timeout(self.command.timeout, all).await;
        if ended.is_err()
            && let Some(group) = group
        {
            // Programs that the command has started are in its process group. The command is reaped when it is dropped.
            let _ = killpg(group, Signal::SIGKILL);
        }
        if let Some(errors) = errors {
            // A program that the command has left running may hold standard error open, so the wait has a limit.
            child::last_words(errors).await;
        }
        ended.ok().transpose()
    }
}

/// Returns the environment variables, which a script can read more easily than JSON.
fn environment(message: &Message, data: &Value) -> Vec<(&'static str, String)> {
    let mut all = vec![("WEIR_EVENT", message.kind.clone()), ("WEIR_EVENT_ID", message.id.clone())];
    for (variable, field) in [("WEIR_APP", "app"), ("WEIR_STREAM", "name"), ("WEIR_FILE", "file")] {
        // A variable cannot contain a NUL byte.
        if let Some(text) = data.get(field).and_then(Value::as_str).filter(|text| !text.contains('\0')) {
            all.push((variable, text.to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_in_the_environment() {
        let message = Message {
            id: "weir_1".into(),
            kind: "x".into(),
            at: weir_model::Timestamp::default(),
            body: "{}".into(),
        };
        let data = json!({ "app": "live", "name": "show", "file": "a\0b", "session": 7 });
        let expected =
            [("WEIR_EVENT", "x"), ("WEIR_EVENT_ID", "weir_1"), ("WEIR_APP", "live"), ("WEIR_STREAM", "show")];
        assert_eq!(environment(&message, &data), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
