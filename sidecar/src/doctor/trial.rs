//! Runs `nginx -t`, and explains its errors.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::process::Command;
use tokio::time::timeout;

use super::finding::Finding;

const PART: &str = "nginx";
/// Time limit; nginx resolves the host names of a configuration when it reads it.
const LIMIT: Duration = Duration::from_secs(30);

const LOAD: &str = "apt install libnginx-mod-rtmp-weir, or add \"load_module modules/ngx_rtmp_weir_module.so;\" after the line that \
                    loads ngx_rtmp_module.so";

/// Asks nginx for its version, and whether it accepts its configuration.
pub(super) async fn examine(program: &Path, conf: &Path) -> Vec<Finding> {
    let version = match run(program, &["-v".as_ref()]).await {
        Ok((_, said)) => version(&said),
        Err(why) => {
            let message = format!("{} cannot be run: {why}", program.display());
            let remedy = "apt install nginx libnginx-mod-rtmp, or name the program with --nginx";
            return vec![Finding::problem(PART, message, remedy)];
        }
    };
    let mut warnings = Vec::new();
    let trial = match run(program, &["-t".as_ref(), "-c".as_ref(), conf.as_os_str()]).await {
        Ok((true, said)) => {
            warnings = warned(&said);
            Finding::ok(PART, format!("{version} accepts {}", conf.display()))
        }
        Ok((false, said)) => refused(&said, Uid::effective().is_root()),
        Err(why) => Finding::problem(
            PART,
            format!("nginx -t gave no answer: {why}"),
            format!("run nginx -t -c {}", conf.display()),
        ),
    };
    warnings.insert(0, trial);
    warnings
}

/// Returns a finding for each warning about the state file and its folder (`state/folder.rs` of the module). [`lint`] reports the
/// other warnings of Weir.
///
/// [`lint`]: weir_model::lint
fn warned(said: &str) -> Vec<Finding> {
    let texts = said.lines().filter_map(|line| line.split_once("[warn] ").map(|(_, text)| without_ids(text)));
    let mut found: Vec<Finding> = Vec::new();
    for text in texts.filter(|text| text.starts_with("\"weir_zone\": ")) {
        let finding = state_warning(text.trim());
        // nginx writes a warning to the terminal and to its log, which may be the terminal too.
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
}

/// Splits `"weir_zone": WARNING[; run COMMAND] in FILE:LINE` into the message and the remedy.
fn state_warning(text: &str) -> Finding {
    let between = |begin: &str, end: &str| Some(text.split_once(begin)?.1.split_once(end)?.0);
    let command = between("; run ", " in /").map(str::to_owned);
    let message = match &command {
        Some(command) => text.replacen(&format!("; run {command}"), "", 1),
        None => text.to_owned(),
    };
    let folder = between("cannot write to ", ": ").or_else(|| between("cannot read the folder ", ": "));
    let for_folder = || {
        let (user, folder) = (between("(user id ", ")")?, folder?);
        Some(format!("chown {user} {folder} && chmod u+rwx {folder}"))
    };
    let remedy = command.or_else(for_folder).map_or_else(
        || "make the folder of the state file writable for the user of nginx's workers".to_owned(),
        |command| format!("run {command}"),
    );
    // Without the right to read the folder, the workers can write the state.
    if text.contains("cannot read the folder ") {
        return Finding::hint(PART, message, remedy);
    }
    Finding::problem(PART, message, remedy)
}

/// Reason why nginx gave no answer.
#[derive(Debug, thiserror::Error)]
enum Unrun {
    #[error("no end after {LIMIT:?}")]
    Endless,
    #[error(transparent)]
    Failed(#[from] std::io::Error),
}

/// Runs nginx; returns whether it succeeded, and its output.
async fn run(program: &Path, args: &[&std::ffi::OsStr]) -> Result<(bool, String), Unrun> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.map_err(|_| Unrun::Endless)??;
    let said = [output.stderr, output.stdout].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Returns `nginx 1.22.1` for `nginx version: nginx/1.22.1`.
fn version(said: &str) -> String {
    let version = said.lines().find_map(|line| line.strip_prefix("nginx version: "));
    version.unwrap_or("nginx").replacen('/', " ", 1)
}

/// Removes the `PID#TID: ` of an error log.
fn without_ids(text: &str) -> &str {
    match text.split_once(": ") {
        Some((ids, rest)) if ids.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#') => rest,
        _ => text,
    }
}

/// Explains the first line that stops nginx.
fn refused(said: &str, as_root: bool) -> Finding {
    let stops = |line: &&str| line.contains("[emerg]") || line.contains("[crit]");
    let line = said.lines().find(stops).or_else(|| said.lines().next()).unwrap_or("nginx -t failed");
    let why = line.split_once("[emerg] ").map_or(line, |(_, why)| without_ids(why)).trim();
    if !as_root && why.contains("Permission denied") {
        let message = "the configuration can be tested only as root";
        return Finding::hint(PART, message, "run weir doctor as root");
    }
    let unknown = |name: &str| why.contains(&format!("unknown directive \"{name}"));
    let remedy = if unknown("weir_") {
        LOAD
    } else if unknown("rtmp\"") {
        "apt install libnginx-mod-rtmp, or add \"load_module modules/ngx_rtmp_module.so;\" at the top of nginx.conf"
    } else if why.contains("is not binary compatible")
        || why.contains("instead of") && why.contains("version")
    {
        "the module was built for another nginx: install the packages of this nginx, or build it again (make build, make install)"
    } else if why.contains("undefined symbol: ngx_rtmp") {
        "load ngx_rtmp_module.so before ngx_rtmp_weir_module.so"
    } else if why.contains("cannot open shared object file") || why.contains("dlopen()") {
        "install the module again, or remove its load_module line"
    } else if why.contains("Address already in use") {
        "end the other program on this port, or change \"listen\""
    } else if why.contains("getpwnam(\"") || why.contains("getgrnam(\"") {
        "create this user or group (adduser --system --group NAME), or correct \"user\" in nginx.conf"
    } else {
        "correct the line that nginx names"
    };
    Finding::problem(PART, why, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("nginx version: nginx/1.22.1\n"), "nginx 1.22.1");
        assert_eq!(version("nginx version: openresty/1.25.3.1\n"), "openresty 1.25.3.1");
        assert_eq!(version(""), "nginx");
    }

    #[test]
    fn a_refusal_has_the_remedy() {
        let said = |why: &str| {
            let text = format!(
                "2026/11/26 20:00:00 [warn] 1#1: conflicting\nnginx: [emerg] {why}\nnginx: configuration file x test failed\n"
            );
            refused(&text, true).to_string()
        };
        for (why, remedy) in [
            ("unknown directive \"weir_zone\" in /etc/nginx/nginx.conf:5", "libnginx-mod-rtmp-weir"),
            ("unknown directive \"rtmp\" in /etc/nginx/nginx.conf:5", "libnginx-mod-rtmp,"),
            ("module \"/x/ngx_rtmp_weir_module.so\" is not binary compatible in /x:1", "another nginx"),
            ("module \"/x.so\" version 1022001 instead of 1026003 in /x:1", "another nginx"),
            ("dlopen() \"/x.so\" failed (/x.so: undefined symbol: ngx_rtmp_module) in /x:1", "before"),
            ("dlopen() \"/x.so\" failed (/x.so: cannot open shared object file) in /x:1", "again"),
            ("bind() to 0.0.0.0:1935 failed (98: Address already in use)", "other program"),
            ("getpwnam(\"nginx\") failed in /etc/nginx/nginx.conf:1", "correct \"user\""),
            (
                "getgrnam(\"nginx\") failed (2: No such file or directory) in /x:1",
                "create this user or group",
            ),
            ("unexpected end of file in /etc/nginx/nginx.conf:5", "that nginx names"),
        ] {
            let said = said(why);
            assert!(said.starts_with(&format!("problem: nginx: {why}: ")) && said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn warnings_about_the_state_folder_are_findings() {
        let said = "nginx: [warn] \"weir_zone\": the workers (user id 33) cannot write to /a b: no key can be added for good in /c:5\n\
                    2026/11/26 20:00:00 [warn] 1#1: \"weir_zone\": the workers (user id 33) cannot write to /a b: no key can be \
                    added for good in /c:5\n\
                    nginx: [warn] \"weir_zone\": the workers (user id 33) cannot read the folder /d: a change may be lost in /c:5\n\
                    nginx: [warn] \"weir_zone\": the workers (user id 33) cannot read /d/state; run chown 33:33 /d/state in /c:5\n\
                    nginx: [warn] weir: \"exec\" in /c:9 runs a program: remove it\n\
                    nginx: [warn] conflicting server name \"x\" on 0.0.0.0:80, ignored\n\
                    nginx: configuration file /c test is successful\n";
        let found: Vec<String> = warned(said).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "problem: nginx: \"weir_zone\": the workers (user id 33) cannot write to /a b: no key can be added for good in /c:5: \
                 run chown 33 /a b && chmod u+rwx /a b",
                "hint: nginx: \"weir_zone\": the workers (user id 33) cannot read the folder /d: a change may be lost in /c:5: \
                 run chown 33 /d && chmod u+rwx /d",
                "problem: nginx: \"weir_zone\": the workers (user id 33) cannot read /d/state in /c:5: run chown 33:33 /d/state",
            ]
        );
        assert_eq!(warned("nginx: configuration file /c test is successful\n"), []);
    }

    #[test]
    fn who_is_not_root_is_told() {
        let denied = "nginx: [emerg] open() \"/run/nginx.pid\" failed (13: Permission denied)\n";
        assert_eq!(refused(denied, false).state, State::Hint);
        assert_eq!(refused(denied, true).state, State::Problem);
        assert_eq!(refused("", true).message, "nginx -t failed");
        assert_eq!(
            refused("2026/11/26 [emerg] 12#12: no \"events\" section\n", true).message,
            "no \"events\" section"
        );
    }
}
