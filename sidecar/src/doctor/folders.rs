//! Checks the folders of nginx-rtmp for HLS, DASH and recordings: nginx accepts a folder that its workers cannot write to, and logs an
//! error only when somebody publishes.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{Group, Uid, User};
use tokio::process::Command;
use tokio::time::timeout;
use weir_model::lint::Directive;

use super::finding::Finding;

const PART: &str = "configuration";
const LIMIT: Duration = Duration::from_secs(5);
/// Blocks of nginx-rtmp.
const BLOCKS: [&str; 3] = ["server", "application", "recorder"];

/// A kind of files that nginx-rtmp writes.
struct Kind {
    /// The directive that names the folder.
    path: &'static str,
    /// The directive that switches the writing on.
    switch: &'static str,
    /// nginx-rtmp creates the folder, but not those above it (ngx_rtmp_hls_ensure_directory).
    is_created: bool,
}

const KINDS: [Kind; 3] = [
    Kind { path: "hls_path", switch: "hls", is_created: true },
    Kind { path: "dash_path", switch: "dash", is_created: true },
    Kind { path: "record_path", switch: "record", is_created: false },
];

/// The user of nginx's workers.
struct Account<'c> {
    name: &'c str,
    uid: u32,
    gid: u32,
}

/// Checks each folder with the rights of nginx's workers. Only root can do this. Without the directive `user`, the user is not known.
pub(super) async fn examine(tree: &[Directive]) -> Vec<Finding> {
    let Some(account) = account(tree).filter(|_| Uid::effective().is_root()) else { return Vec::new() };
    let mut found: Vec<Finding> = Vec::new();
    // Everybody may enter the root folder, so without this answer the question itself does not work here.
    if may(&account, "-x", Path::new("/")).await != Some(true) {
        return found;
    }
    for (directive, kind) in written(tree) {
        let Some(folder) = directive.argument(0).map(Path::new).filter(|folder| folder.is_absolute()) else {
            continue;
        };
        if let Some((fault, remedy)) = fault(folder, kind, &account).await {
            let message = format!("{}:{}: {fault}", directive.file.display(), directive.line);
            found.push(Finding::problem(PART, message, remedy));
        }
    }
    found
}

/// Returns the user that `user` names, if it exists; `nginx -t` reports one that does not.
fn account(tree: &[Directive]) -> Option<Account<'_>> {
    let directive = tree.iter().rfind(|directive| directive.name() == "user")?;
    let name = directive.argument(0)?;
    let user = User::from_name(name).ok().flatten()?;
    let gid = match directive.argument(1) {
        Some(group) => Group::from_name(group).ok().flatten()?.gid,
        None => user.gid,
    };
    Some(Account { name, uid: user.uid.as_raw(), gid: gid.as_raw() })
}

/// Returns the directives that name a folder in use.
fn written(tree: &[Directive]) -> Vec<(&Directive, &'static Kind)> {
    let mut found = Vec::new();
    for kind in &KINDS {
        for rtmp in tree.iter().filter(|directive| directive.name() == "rtmp") {
            collect(rtmp, kind, false, &mut found);
        }
    }
    found
}

/// Collects the folders of a block and of its inner blocks. `is_on` is the switch of the outer block.
fn collect<'t>(
    block: &'t Directive,
    kind: &'static Kind,
    is_on: bool,
    found: &mut Vec<(&'t Directive, &'static Kind)>,
) {
    let is_on = switch(block, kind).unwrap_or(is_on);
    if is_on || is_on_inside(block, kind) {
        found.extend(block.all(kind.path).map(|directive| (directive, kind)));
    }
    for inner in inner(block) {
        collect(inner, kind, is_on, found);
    }
}

fn inner(block: &Directive) -> impl Iterator<Item = &Directive> {
    block.block.iter().filter(|directive| BLOCKS.contains(&directive.name()))
}

fn switch(block: &Directive, kind: &Kind) -> Option<bool> {
    block.all(kind.switch).last().map(|directive| directive.argument(0) != Some("off"))
}

fn is_on_inside(block: &Directive, kind: &Kind) -> bool {
    inner(block).any(|inner| switch(inner, kind) == Some(true) || is_on_inside(inner, kind))
}

/// Returns why the workers cannot write to the folder, and the remedy.
async fn fault(folder: &Path, kind: &Kind, account: &Account<'_>) -> Option<(String, String)> {
    let Account { name, .. } = account;
    let (path, shown) = (kind.path, folder.display());
    let make = || format!("run install -d -o {name} -m 0700 {shown}");
    let is_missing = match folder.metadata() {
        Ok(facts) if !facts.is_dir() => {
            return Some((format!("{shown} of {path} is no folder"), "name a folder".to_owned()));
        }
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if is_missing && !(kind.is_created && folder.parent().is_some_and(Path::is_dir)) {
        return Some((format!("{shown} of {path} does not exist"), make()));
    }
    let place = if is_missing { folder.parent()? } else { folder };
    if may(account, "-w", place).await? && may(account, "-x", place).await? {
        return None;
    }
    let above: Vec<&Path> = place.ancestors().skip(1).collect();
    for above in above.into_iter().rev() {
        if !may(account, "-x", above).await? {
            let message = format!("nginx's workers (user {name}) cannot enter {}", above.display());
            return Some((format!("{message}, so they cannot write to {shown} of {path}"), enter(above)));
        }
    }
    let message = format!("nginx's workers (user {name}) cannot write to {shown} of {path}");
    let remedy = if is_missing { make() } else { format!("run chown {name} {shown} && chmod u+rwx {shown}") };
    Some((message, remedy))
}

fn enter(folder: &Path) -> String {
    format!("run chmod o+x {}, or name another folder", folder.display())
}

/// Runs `test` with the rights of the account, so access control lists count too. Returns `None` if that is impossible.
async fn may(account: &Account<'_>, right: &str, folder: &Path) -> Option<bool> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &account.uid.to_string(), "--regid", &account.gid.to_string(), "--init-groups"]);
    command
        .args(["--", "test", right])
        .arg(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match timeout(LIMIT, command.status()).await.ok()?.ok()?.code()? {
        0 => Some(true),
        1 => Some(false),
        // `setpriv` or `test` could not be run.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use weir_model::lint;
    use weir_nginx_files::Disk;

    use super::*;

    fn tree(text: &str) -> Vec<Directive> {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("nginx.conf");
        std::fs::write(&conf, text).unwrap();
        lint::read(&conf, &Disk).unwrap()
    }

    #[test]
    fn folders_in_use() {
        let text = "rtmp { hls_path /a; server { record_path /b; dash_path /c; \
                    application live { hls on; dash off; record all; recorder r { record audio; record_path /d; } } \
                    application raw { hls_path /e; hls off; } } }";
        let tree = tree(text);
        let paths: Vec<_> =
            written(&tree).iter().map(|(directive, _)| directive.argument(0).unwrap()).collect();
        assert_eq!(paths, ["/a", "/b", "/d"]);
        assert!(written(&self::tree("rtmp { server { application live { hls_path /a; } } }")).is_empty());
    }

    #[test]
    fn the_user_of_the_workers() {
        let of = |text: &str| account(&tree(text)).map(|account| (account.uid, account.gid));
        assert_eq!(of("user root;"), Some((0, 0)));
        assert_eq!(of("user root root;"), Some((0, 0)));
        for text in ["", "user no-such-user;", "user root no-such-group;"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    /// The tests that run as another user are in `tests/tests/sidecar/doctor.rs`.
    #[tokio::test]
    async fn folders_that_do_not_exist() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let account = Account { name: "www-data", uid: 0, gid: 0 };
        std::fs::write(path("file"), "").unwrap();
        for (name, kind, expected) in [
            ("file", &KINDS[0], "is no folder"),
            ("none/hls", &KINDS[0], "of hls_path does not exist"),
            ("none", &KINDS[2], "of record_path does not exist"),
        ] {
            let (fault, remedy) = fault(&path(name), kind, &account).await.unwrap();
            assert!(fault.ends_with(expected), "{name}: {fault}");
            assert!(
                name == "file"
                    || remedy == format!("run install -d -o www-data -m 0700 {}", path(name).display())
            );
        }
    }
}
