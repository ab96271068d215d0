//! `weir notify`

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{Error, Output};
use crate::cli::check::NotifyArgs;
use crate::health::pushes::{self, PAUSES};
use crate::health::turn::Turn;
use crate::health::{Notice, Role};
use crate::nginx::{self, Nginx};
use crate::values::vrrp::Who;

/// Interval between checks whether another call has finished.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(args: &NotifyArgs, nginx: &Nginx) -> Result<Output, Error> {
    let who = Who { kind: args.kind, name: args.name.clone() };
    let Some(role) = Role::of_state(&args.state) else {
        return Ok(format!("{who}: nothing to do for {}\n", args.state).into());
    };
    let failed = |e| Error::file_of("--state-dir", &args.state_dir, e);
    let notice = Notice { who, role };
    let turn = Turn::take(&args.state_dir, &notice).map_err(failed)?;
    let deadline = Instant::now() + args.timeout.0;
    let mut pause = PAUSES.0;
    loop {
        match act(args, nginx, &turn, role, deadline).await? {
            Acted::Done(changed) => {
                return Ok(format!("{} is {role}: {changed}\n", notice.who).into());
            }
            Acted::Superseded => {
                return Ok(format!("{}: superseded by a newer state\n", notice.who).into());
            }
            Acted::Failed(error) if pushes::is_transient(&error) && Instant::now() + pause < deadline => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Acted::Failed(error) => return Err(error.into()),
        }
    }
}

enum Acted {
    Done(pushes::Changed),
    /// A later call has requested another state.
    Superseded,
    Failed(nginx::Error),
}

/// Makes one attempt while no other call acts: an earlier call's request must not arrive after those of a later call.
async fn act(
    args: &NotifyArgs,
    nginx: &Nginx,
    turn: &Turn,
    role: Role,
    deadline: Instant,
) -> Result<Acted, Error> {
    let failed = |e| Error::file_of("--state-dir", &args.state_dir, e);
    let _acting = loop {
        if !turn.is_last().map_err(failed)? {
            return Ok(Acted::Superseded);
        }
        if let Some(acting) = turn.try_act().map_err(failed)? {
            break acting;
        }
        if Instant::now() > deadline {
            return Err(Error::System("another weir notify is still running".into()));
        }
        sleep(LOOK).await;
    };
    if !turn.is_last().map_err(failed)? {
        return Ok(Acted::Superseded);
    }
    tokio::select! {
        outcome = pushes::bring(nginx, &args.targets, role) => Ok(match outcome {
            Ok(changed) => Acted::Done(changed),
            Err(error) => Acted::Failed(error),
        }),
        () = sleep_until(deadline) => Err(Error::System("the API took too long".into())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::health::fake::FakeApi;

    fn args(api: &FakeApi, state: &str) -> NotifyArgs {
        let folder = api.folder.path().join("notify");
        let line =
            ["weir", "notify", "--state-dir", &folder.to_string_lossy(), "INSTANCE", "VI_1", state, "150"];
        match Cli::try_parse_from(line).unwrap().command {
            Command::Notify(args) => args,
            _ => unreachable!(),
        }
    }

    async fn said(api: &FakeApi, state: &str) -> String {
        run(&args(api, state), &api.nginx()).await.unwrap().stdout
    }

    #[tokio::test]
    async fn states_are_brought_to_the_targets() {
        let api = FakeApi::start(&[("t1", "", false), ("t2", "", false)]);
        let line = said(&api, "MASTER").await;
        assert_eq!(line, "INSTANCE VI_1 is active: 2 targets changed, 0 unchanged\n");
        assert_eq!(api.enabled(), ["t1", "t2"]);
        assert!(said(&api, "MASTER_RX_LOWER_PRI").await.contains("nothing to do"));
        for state in ["FAULT", "STOP", "BACKUP"] {
            said(&api, state).await;
            assert_eq!(api.enabled(), [""; 0], "{state}");
        }
    }

    #[tokio::test]
    async fn a_call_that_could_not_act_yet_gives_way_to_a_later_one() {
        let api = FakeApi::start(&[("t1", "", false)]);
        api.set_down(true);
        let (first, later) = (args(&api, "MASTER"), args(&api, "BACKUP"));
        let nginx = api.nginx();
        let late = async {
            // By now the first call has its turn, and has received status 503.
            sleep(PAUSES.0 / 4).await;
            api.set_down(false);
            run(&later, &nginx).await
        };
        let (first, later) = tokio::join!(run(&first, &nginx), late);
        assert!(first.unwrap().stdout.contains("superseded"));
        assert!(later.unwrap().stdout.contains("is standby"));
        assert_eq!(api.enabled(), [""; 0]);
    }
}
