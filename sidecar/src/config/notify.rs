//! `[notify]`: keepalived's notifications, and the push targets that follow them.

use std::path::PathBuf;

use super::check::{Checked, absolute, parsed, problem, text_or};
use crate::values::vrrp::{Selection, VrrpKind, Who};

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[notify]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Notify {
        pub fifo: Text,
        pub targets: Text,
        pub instance: Text,
        pub group: Text,
    }
}

/// keepalived's FIFO, and the targets that follow its notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notify {
    /// `vrrp_notify_fifo` of keepalived's configuration.
    pub fifo: PathBuf,
    /// Targets that are enabled while this machine is MASTER, and disabled otherwise.
    pub targets: Selection,
    /// Instance or group whose state applies; with `None`, each one's state applies.
    pub only: Option<Who>,
}

/// Checks `[notify]`; returns `None` if it has no `fifo`.
pub(super) fn notify(raw: raw::Notify) -> Checked<Option<Notify>> {
    let fifo = text_or("fifo", &raw.fifo, || None, |text| absolute(text).map(Some))?;
    let targets = text_or("targets", &raw.targets, || Selection::All, parsed)?;
    let others = [&raw.targets, &raw.instance, &raw.group];
    if let (None, Some(text)) = (&fifo, others.into_iter().flatten().next()) {
        let what = "[notify]: fifo is missing, such as fifo = \"/var/lib/weir/keepalived.fifo\"";
        return problem(text, what);
    }
    let who = |kind, name: toml::Spanned<String>| Who { kind, name: name.into_inner() };
    let only = match (raw.instance, raw.group) {
        (Some(_), Some(group)) => return problem(&group, "group: name an instance or a group, not both"),
        (Some(instance), None) => Some(who(VrrpKind::Instance, instance)),
        (None, Some(group)) => Some(who(VrrpKind::Group, group)),
        (None, None) => None,
    };
    Ok(fifo.map(|fifo| Notify { fifo, targets, only }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Error, parse};

    fn read(text: &str) -> Result<Option<Notify>, Error> {
        parse(Path::new("weir.toml"), text).map(|config| config.notify)
    }

    #[test]
    fn a_fifo_and_what_it_counts_for() {
        assert_eq!(read(""), Ok(None));
        let fifo = PathBuf::from("/var/lib/weir/keepalived.fifo");
        let plain = Notify { fifo: fifo.clone(), targets: Selection::All, only: None };
        assert_eq!(read("[notify]\nfifo = \"/var/lib/weir/keepalived.fifo\"\n"), Ok(Some(plain)));
        let text =
            "[notify]\nfifo = \"/var/lib/weir/keepalived.fifo\"\ntargets = \"note:pair\"\ngroup = \"G\"\n";
        let only = Some(Who { kind: VrrpKind::Group, name: "G".into() });
        assert_eq!(read(text), Ok(Some(Notify { fifo, targets: Selection::Note("pair".into()), only })));
        for (text, why) in [
            ("fifo = \"keepalived.fifo\"", "weir.toml:2: fifo = \"keepalived.fifo\""),
            ("targets = \"\"", "weir.toml:2: targets = \"\": write all"),
            ("instance = \"a\"", "weir.toml:2: [notify]: fifo is missing, such as fifo = "),
            (
                "fifo = \"/f\"\ninstance = \"a\"\ngroup = \"b\"",
                "weir.toml:4: group: name an instance or a group",
            ),
            ("pipe = \"/x\"", "pipe"),
        ] {
            let error = read(&format!("[notify]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
