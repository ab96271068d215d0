//! Files, folders, programs and applications that a configuration requires on the machine.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::input::Source;
use super::{Config, Delivery};

/// Something that must exist for the daemon to work as configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    /// Table and key that name it, such as `[slate]: file`.
    pub place: String,
    /// Absolute path of the file or folder.
    pub path: PathBuf,
    /// Use of the path by the daemon.
    pub what: What,
}

/// Use of a path by the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A secret that the daemon reads and other users should not.
    Secret(Content),
    /// A file that the daemon reads.
    File,
    /// A file of certificates that the daemon reads.
    Certificates,
    /// A folder that the daemon writes to and creates if it is missing.
    Folder,
    /// A path at which the daemon creates a socket or a FIFO.
    Place,
    /// A program that the daemon starts.
    Program,
}

/// Required content of a file with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// A line, such as a bearer token.
    Line,
    /// At least 32 bytes: a copy of the file of `weir_secret`.
    Signing,
    /// The same, which the nodes of a cluster have in common.
    Cluster,
    /// The same, which the two nodes of a pair have in common.
    Pair,
    /// `whsec_` and base64.
    Webhook,
    /// Access keys of S3.
    Credentials,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.path.display())
    }
}

impl Config {
    /// Returns all requirements, without duplicates.
    pub(crate) fn needs(&self) -> BTreeSet<Need> {
        let mut needs = Needs::default();
        if let Some(file) = &self.nginx.api_token_file {
            needs.add("[nginx]: api_token_file", file, What::Secret(Content::Line));
        }
        if let Some(file) = &self.nginx.secret_file {
            needs.add("[nginx]: secret_file", file, What::Secret(Content::Signing));
        }
        if let Some(file) = self.edge.as_ref().and_then(|edge| edge.credential_file.as_ref()) {
            needs.add("[edge]: credential_file", file, What::Secret(Content::Line));
        }
        if let Some(file) = &self.cluster.secret_file {
            needs.add("[cluster]: secret_file", file, What::Secret(Content::Cluster));
        }
        if let Some(pair) = &self.cluster.pair {
            needs.add("[cluster]: pair_secret_file", &pair.secret_file, What::Secret(Content::Pair));
        }
        if let super::cluster::Store::Etcd(etcd) = &self.cluster.store {
            if let Some(file) = &etcd.ca_file {
                needs.add("[cluster]: etcd_ca_file", file, What::Certificates);
            }
            if let Some((_, file)) = &etcd.user {
                needs.add("[cluster]: etcd_password_file", file, What::Secret(Content::Line));
            }
        }
        if let Some(balancer) = &self.loadbalancer {
            needs.add("[loadbalancer]: upstream_file", &balancer.upstream_file, What::Place);
            for (key, words) in [("test", &balancer.test), ("reload", &balancer.reload)] {
                if let Some(program) = words.first() {
                    needs.add(format!("[loadbalancer]: {key}"), Path::new(program), What::Program);
                }
            }
        }
        if let Some(file) = &self.daemon.ca_file {
            needs.add("[daemon]: ca_file", file, What::Certificates);
        }
        needs.add("[daemon]: socket", &self.daemon.socket, What::Place);
        if let Some(file) = &self.history.file {
            needs.add("[history]: file", file, What::Place);
        }
        if self.chat.enabled {
            needs.add("[chat]: file", &self.chat.file, What::Place);
        }
        needs.of_jobs(self);
        needs.of_hooks(self);
        if let Some(notify) = &self.notify {
            needs.add("[notify]: fifo", &notify.fifo, What::Place);
        }
        if let Some(slate) = &self.slate {
            needs.add("[slate]: file", &slate.file, What::File);
            needs.add("[slate]: secret_file", &slate.secret_file, What::Secret(Content::Signing));
            needs.add("[slate]: folder", &slate.folder, What::Folder);
        }
        needs.0
    }

    /// Returns a sentence for each application of the configuration that nginx does not have.
    pub(crate) fn unknown_applications(&self, known: &[String]) -> Vec<String> {
        let of_rules = self.rules.iter().flat_map(|rule| {
            let to = match &rule.delivery {
                Delivery::Rtmp(to) => Some(("[[stream]]: to_app", to.app.as_str())),
                Delivery::Files(_) => None,
            };
            [Some(("[[stream]]: app", rule.app.as_str())), to].into_iter().flatten()
        });
        let of_records = self.records.iter().map(|record| ("[[record]]: app", record.app.as_str()));
        let of_stills = self.thumbnails.iter().map(|still| ("[[thumbnail]]: app", still.app.as_str()));
        let of_inputs = self.inputs.iter().map(|input| ("[[input]]: app", input.app.as_str()));
        let of_slate = self.slate.iter().flat_map(|slate| &slate.streams);
        let of_slate = of_slate.map(|(app, _)| ("[slate]: streams", app.as_str()));
        let named: BTreeSet<_> =
            of_rules.chain(of_records).chain(of_stills).chain(of_inputs).chain(of_slate).collect();
        let unknown = named.into_iter().filter(|(_, app)| !known.iter().any(|known| known == app));
        unknown
            .map(|(place, app)| format!("{place}: {}", weir_model::api::no_application(app, known)))
            .collect()
    }
}

#[derive(Default)]
struct Needs(BTreeSet<Need>);

impl Needs {
    fn add(&mut self, place: impl Into<String>, path: &Path, what: What) {
        self.0.insert(Need { place: place.into(), path: path.into(), what });
    }

    fn of_jobs(&mut self, config: &Config) {
        for rule in &config.rules {
            match &rule.delivery {
                Delivery::Files(files) => self.add("[[stream]]: folder", &files.folder, What::Folder),
                Delivery::Rtmp(to) => {
                    self.add("[[stream]]: secret_file", &to.secret_file, What::Secret(Content::Signing));
                }
            }
        }
        for record in &config.records {
            self.add("[[record]]: folder", &record.folder, What::Folder);
            if let Some(upload) = &record.upload
                && let Some(file) = &upload.credentials_file
            {
                let place = format!("[upload.{}]: credentials_file", upload.name);
                self.add(place, file, What::Secret(Content::Credentials));
            }
        }
        for still in &config.thumbnails {
            self.add("[[thumbnail]]: folder", &still.folder, What::Folder);
        }
        for input in &config.inputs {
            self.add("[[input]]: secret_file", &input.secret_file, What::Secret(Content::Signing));
            if let Source::File(path) | Source::Playlist(path) = &input.source {
                self.add("[[input]]: url", path, What::File);
            }
        }
        if self.0.iter().any(|need| need.place.starts_with("[[")) || config.slate.is_some() {
            self.add("[jobs]: ffmpeg", &config.jobs.ffmpeg, What::Program);
        }
    }

    fn of_hooks(&mut self, config: &Config) {
        let hooks = &config.hooks;
        for webhook in &hooks.webhooks {
            for file in &webhook.endpoint.secret_files {
                let place = format!("[hooks.webhook.{}]: secret_files", webhook.name);
                self.add(place, file, What::Secret(Content::Webhook));
            }
        }
        if !hooks.webhooks.is_empty() {
            self.add("[hooks]: queue", &hooks.queue, What::Folder);
        }
        for command in &hooks.commands {
            if let Some(program) = command.run.first() {
                self.add(format!("[hooks.command.{}]: run", command.name), Path::new(program), What::Program);
            }
        }
        for file in hooks.admission.iter().flat_map(|admission| &admission.endpoint.secret_files) {
            self.add("[hooks.admission]: secret_files", file, What::Secret(Content::Webhook));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const TEXT: &str = r#"
[nginx]
api_token_file = "/etc/weir/api.token"
[ladder.one]
rungs = ["source"]
[[stream]]
app = "live"
stream = "*"
ladder = "one"
deliver = "rtmp"
to_app = "ladder"
secret_file = "/etc/weir/secret"
[[record]]
app = "studio"
stream = "*"
upload = "s3"
[upload.s3]
endpoint = "https://s3.example.org"
bucket = "b"
credentials_file = "/etc/weir/s3"
[daemon]
ca_file = "/etc/weir/ca.pem"
[slate]
streams = ["live/*"]
file = "/etc/weir/slate.png"
secret_file = "/etc/weir/secret"
[notify]
fifo = "/var/lib/weir/fifo"
[hooks.webhook.w]
url = "https://b.example.org/"
secret_files = ["/etc/weir/hook"]
[hooks.command.c]
run = ["/usr/local/bin/on-event"]
[hooks.admission]
url = "https://b.example.org/"
secret_files = ["/etc/weir/admission"]
"#;

    #[test]
    fn everything_that_is_named_is_needed() {
        let config = parse(Path::new("weir.toml"), TEXT).unwrap();
        let needs: Vec<String> = config.needs().iter().map(ToString::to_string).collect();
        assert_eq!(
            needs,
            [
                "[[record]]: folder: /var/lib/weir/recordings",
                "[[stream]]: secret_file: /etc/weir/secret",
                "[daemon]: ca_file: /etc/weir/ca.pem",
                "[daemon]: socket: /run/weir/weir.sock",
                "[history]: file: /var/lib/weir/history.db",
                "[hooks.admission]: secret_files: /etc/weir/admission",
                "[hooks.command.c]: run: /usr/local/bin/on-event",
                "[hooks.webhook.w]: secret_files: /etc/weir/hook",
                "[hooks]: queue: /var/lib/weir/hooks",
                "[jobs]: ffmpeg: ffmpeg",
                "[nginx]: api_token_file: /etc/weir/api.token",
                "[notify]: fifo: /var/lib/weir/fifo",
                "[slate]: file: /etc/weir/slate.png",
                "[slate]: folder: /var/lib/weir/slate",
                "[slate]: secret_file: /etc/weir/secret",
                "[upload.s3]: credentials_file: /etc/weir/s3",
            ]
        );
    }

    #[test]
    fn applications_that_nginx_does_not_have_are_named() {
        let config = parse(Path::new("weir.toml"), TEXT).unwrap();
        let unknown = config.unknown_applications(&["live".into(), "other".into()]);
        assert_eq!(
            unknown,
            [
                "[[record]]: app: nginx has no application \"studio\": nginx has \"live\", \"other\"",
                "[[stream]]: to_app: nginx has no application \"ladder\": nginx has \"live\", \"other\"",
            ]
        );
    }
}
