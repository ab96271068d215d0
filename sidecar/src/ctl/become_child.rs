//! `weir become`, which the daemon starts in front of a program: it asks the kernel to kill it when the daemon dies, and then
//! executes the program.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;

use super::Error;
use crate::cli::daemon::BecomeArgs;

/// Executes the program; returns only if that fails.
pub(super) fn run(args: &BecomeArgs) -> Result<std::convert::Infallible, Error> {
    let failed = |what: &str, why: String| Error::System(format!("{what}: {why}"));
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| failed("prctl", e.to_string()))?;
    // The daemon may have died before the call to prctl.
    if nix::unistd::getppid().as_raw() != args.parent {
        return Err(Error::System("the daemon is gone".into()));
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Error::Usage("no program".into()));
    };
    let mut command = if args.nice > 0 {
        let mut nice = Command::new("nice");
        nice.arg("-n").arg(args.nice.to_string()).arg(program);
        nice
    } else {
        Command::new(program)
    };
    let error = command.args(arguments).exec();
    Err(failed(&program.to_string_lossy(), error.to_string()))
}
