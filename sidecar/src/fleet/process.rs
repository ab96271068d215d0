//! Runs programs of the event's file, without a shell and without the provider's token.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Reason why a program has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The program cannot be started.
    #[error("{0}")]
    Start(std::io::Error),
    /// The program takes too long.
    #[error("no end within {0} s")]
    Late(u64),
    /// The exit status, and the last line of standard error.
    #[error("exit status {status}: {said}")]
    Status { status: i32, said: String },
}

/// Runs a program with a text on its standard input. Returns its standard output.
pub(super) async fn run(
    words: &[String],
    variables: &[(&str, String)],
    input: &str,
    limit: Duration,
) -> Result<String, Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
    let mut command = Command::new(program);
    command.args(arguments).env_remove("HCLOUD_TOKEN").kill_on_drop(true);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::Start)?;
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // An error means that the program does not read its input.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    let output =
        timeout(limit, both).await.map_err(|_| Failure::Late(limit.as_secs()))?.map_err(Failure::Start)?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Failure::Status {
            status: output.status.code().unwrap_or(-1),
            said: weir_model::text::clean(said.lines().last().unwrap_or_default()).into_owned(),
        }),
    }
}
