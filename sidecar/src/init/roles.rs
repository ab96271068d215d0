//! The files of each role.

use weir_rtmp::url::DEFAULT_PORT;

use super::answers::{Answers, Edge, Role, authority, host};
use super::sample::{Drift, Sample};
use super::{Content, File, Place, pair};

macro_rules! sample {
    ($name:literal) => {
        Sample::new($name, include_str!(concat!("../../../nginx-conf/", $name)))
    };
}

/// Web page of a single machine.
const PAGE: [(&str, &str, &[u8]); 7] = [
    (
        "www/index.html",
        "/srv/weir/www/index.html",
        include_bytes!("../../../nginx-conf/single-node/www/index.html"),
    ),
    ("www/page.js", "/srv/weir/www/page.js", include_bytes!("../../../nginx-conf/single-node/www/page.js")),
    (
        "www/player.js",
        "/srv/weir/www/player.js",
        include_bytes!("../../../nginx-conf/single-node/www/player.js"),
    ),
    (
        "www/style.css",
        "/srv/weir/www/style.css",
        include_bytes!("../../../nginx-conf/single-node/www/style.css"),
    ),
    (
        "www/icon.svg",
        "/srv/weir/www/icon.svg",
        include_bytes!("../../../nginx-conf/single-node/www/icon.svg"),
    ),
    (
        "www/vendor/hls.min.js",
        "/srv/weir/www/vendor/hls.min.js",
        include_bytes!("../../../nginx-conf/single-node/www/vendor/hls.min.js"),
    ),
    (
        "www/vendor/LICENSE",
        "/srv/weir/www/vendor/LICENSE",
        include_bytes!("../../../nginx-conf/single-node/www/vendor/LICENSE"),
    ),
];

const NGINX: Place = Place::public("/etc/nginx/nginx.conf");
const DAEMON: Place = Place::public("/etc/weir/weir.toml");
/// Port of the pages that the nodes of a pair use for each other.
const PEER_PORT: u16 = 8090;
/// The user of the daemon.
const WEIR: Option<&str> = Some("weir");

/// Returns all files of a machine.
pub(crate) fn files(answers: &Answers) -> Result<Vec<File>, Drift> {
    let mut files = match answers.role {
        Role::Single => single(answers)?,
        Role::Restream => restream(answers)?,
        Role::Origin => origin(answers)?,
        Role::Edge => edge(answers)?,
        Role::Loadbalancer => loadbalancer(answers)?,
    };
    files.extend(pair::file(answers)?);
    Ok(files)
}

impl Answers {
    /// Returns the command for the header of a file.
    fn command(&self) -> String {
        format!("weir init {}", self.role.word())
    }

    /// Fills in the names and ports that all samples contain.
    fn fill(&self, sample: Sample) -> Sample {
        let here = match (&self.url, &self.edge) {
            (Some(url), _) => authority(url).to_owned(),
            (None, Some(edge)) => authority(&edge.address).to_owned(),
            (None, None) => format!("THIS-MACHINE:{}", self.http_port),
        };
        let name = here.rsplit_once(':').map_or(here.as_str(), |(name, _)| name);
        let url = self.url.as_ref().or(self.edge.as_ref().map(|edge| &edge.address));
        let url =
            url.map_or_else(|| format!("http://{here}"), |url| url.as_str().trim_end_matches('/').to_owned());
        sample
            .put_if_there("http://THIS-MACHINE:8080", &url)
            .put_if_there("THIS-MACHINE:8080", &here)
            .put_if_there("THIS-MACHINE", name)
            .put_if_there("OTHER-MACHINE:8080", &format!("OTHER-MACHINE:{}", self.http_port))
    }

    fn nginx(&self, sample: Sample) -> Result<Sample, Drift> {
        let sample = sample.put("listen 8080;", &format!("listen {};", self.http_port))?;
        let sample = match self.role {
            Role::Loadbalancer => sample,
            _ if self.edge.as_ref().is_some_and(|edge| edge.cache) => sample,
            _ => sample.put("listen 1935;", &format!("listen {};", self.rtmp_port))?,
        };
        Ok(self.fill(sample))
    }

    fn daemon(&self, sample: Sample) -> Result<Sample, Drift> {
        let sample = sample
            .put("\"http://127.0.0.1:8080/api\"", &format!("\"http://127.0.0.1:{}/api\"", self.http_port))?
            .put("\"rtmp://127.0.0.1:1935\"", &format!("\"rtmp://127.0.0.1:{}\"", self.rtmp_port))?;
        Ok(self.fill(sample))
    }

    fn text(&self, name: &'static str, sample: Sample, place: Place) -> File {
        let content = Content::Text(sample.written_by(&self.command()));
        File { name, content, places: vec![place] }
    }

    /// Returns the address for encoders and the URL of the pages for viewers.
    fn pages(&self) -> (String, String) {
        let Some(url) = &self.url else { return Default::default() };
        let port =
            if self.rtmp_port == DEFAULT_PORT { String::new() } else { format!(":{}", self.rtmp_port) };
        (format!("{}{port}", host(url)), format!("{}/tv", url.as_str().trim_end_matches('/')))
    }
}

fn secret() -> File {
    let places = vec![Place::secret("/etc/nginx/weir.secret", None), Place::secret("/etc/weir/secret", WEIR)];
    File { name: "weir.secret", content: Content::Secret, places }
}

/// Returns the secret that only the two nodes of a pair have.
fn pair_secret() -> File {
    let places = vec![Place::secret("/etc/weir/pair.secret", WEIR)];
    File { name: "pair.secret", content: Content::Secret, places }
}

fn cluster_secret() -> File {
    let places = vec![Place::secret("/etc/weir/cluster.secret", WEIR)];
    File { name: "cluster.secret", content: Content::ClusterSecret, places }
}

fn single(answers: &Answers) -> Result<Vec<File>, Drift> {
    const SECRET: &str = "#weir_secret /etc/nginx/weir.secret;";
    let (host, pages) = answers.pages();
    let mut files = if answers.drop_in {
        let rtmp = sample!("single-node/drop-in/rtmp.conf")
            .put(SECRET, &SECRET[1..])?
            .put("listen 1935;", &format!("listen {};", answers.rtmp_port))?;
        let site = sample!("single-node/drop-in/site.conf")
            .put("listen 8080;", &format!("listen {};", answers.http_port))?;
        let (rtmp, site) = (answers.fill(rtmp), answers.fill(site));
        vec![
            answers.text("rtmp.conf", rtmp, Place::public("/etc/nginx/modules-enabled/90-weir.conf")),
            answers.text("site.conf", site, Place::public("/etc/nginx/conf.d/weir.conf")),
        ]
    } else {
        let nginx = answers.nginx(sample!("single-node/nginx.conf").put(SECRET, &SECRET[1..])?)?;
        vec![answers.text("nginx.conf", nginx, NGINX)]
    };
    let daemon = answers
        .daemon(sample!("weir.toml"))?
        // Only the key in [nginx] is set; it is the default of the others.
        .put(
            "\n# secret_file = \"/etc/weir/secret\"\n# Where streams are",
            "\nsecret_file = \"/etc/weir/secret\"\n# Where streams are",
        )?
        .put("#public_name = \"live.example.org\"", &format!("public_name = \"{host}\""))?
        .put("#url = \"https://live.example.org/tv\"", &format!("url = \"{pages}\""))?;
    files.push(answers.text("weir.toml", daemon, DAEMON));
    files.push(secret());
    files.extend(PAGE.map(|(name, path, bytes)| File {
        name,
        content: Content::Bytes(bytes),
        places: vec![Place::public(path)],
    }));
    Ok(files)
}

fn restream(answers: &Answers) -> Result<Vec<File>, Drift> {
    let nginx = sample!("restream/nginx.conf")
        .put("listen 127.0.0.1:8080;", &format!("listen 127.0.0.1:{};", answers.http_port))?
        .put("listen 1935;", &format!("listen {};", answers.rtmp_port))?;
    let name = answers.public_name.as_deref().unwrap_or_default();
    let daemon = answers.daemon(sample!("restream/weir.toml"))?.put("live.example.org", name)?;
    let Some(pair) = &answers.pair else {
        return Ok(vec![
            answers.text("nginx.conf", answers.fill(nginx), NGINX),
            answers.text("weir.toml", daemon, DAEMON),
        ]);
    };
    let nginx = with_pair_secret(nginx)?;
    let [a, b] = pair.machines.map(|machine| format!("{}:{PEER_PORT}", pair::bracketed(&machine)));
    Ok(vec![
        answers.text("nginx.conf", answers.fill(nginx), NGINX),
        answers.text("weir-a.toml", of_pair(daemon.clone(), &a, &b)?, DAEMON),
        answers.text("weir-b.toml", of_pair(daemon, &b, &a)?, DAEMON),
        pair_secret(),
    ])
}

fn with_pair_secret(nginx: Sample) -> Result<Sample, Drift> {
    nginx.put("#   weir_pair_secret /etc/weir/pair.secret;", "weir_pair_secret /etc/weir/pair.secret;")
}

/// Fills in the weir.toml of one node of a pair.
fn of_pair(daemon: Sample, own: &str, other: &str) -> Result<Sample, Drift> {
    daemon
        .put(": listen = \"192.0.2.11:8090\"", "")?
        .put("listen = \"off\"", &format!("listen = \"{own}\""))?
        .put(
            "#[cluster]\n#pair_secret_file = \"/etc/weir/pair.secret\"\n#peer = \"http://192.0.2.12:8090\"",
            &format!("[cluster]\npair_secret_file = \"/etc/weir/pair.secret\"\npeer = \"http://{other}\""),
        )
}

fn origin(answers: &Answers) -> Result<Vec<File>, Drift> {
    let (host, pages) = answers.pages();
    let nginx = answers.nginx(sample!("origin/nginx.conf"))?;
    let daemon = answers
        .daemon(sample!("origin/weir.toml"))?
        .put("\"http://origin.example.org:8080/tv\"", &format!("\"{pages}\""))?
        .put("\"origin.example.org\"", &format!("\"{host}\""))?;
    let mut files = match &answers.pair {
        None => {
            vec![answers.text("nginx.conf", nginx, NGINX), answers.text("weir.toml", daemon, DAEMON)]
        }
        Some(pair) => {
            // The pages of the other one are behind its nginx.
            let of = |machine| {
                let pages = format!("http://{}:{}/tv", pair::bracketed(machine), answers.http_port);
                daemon.clone().put(
                    "#pair_secret_file = \"/etc/weir/pair.secret\"\n#peer = \"http://192.0.2.12:8080/tv\"",
                    &format!("pair_secret_file = \"/etc/weir/pair.secret\"\npeer = \"{pages}\""),
                )
            };
            let [a, b] = &pair.machines;
            vec![
                answers.text("nginx.conf", with_pair_secret(nginx)?, NGINX),
                answers.text("weir-a.toml", of(b)?, DAEMON),
                answers.text("weir-b.toml", of(a)?, DAEMON),
                pair_secret(),
            ]
        }
    };
    files.extend([secret(), cluster_secret()]);
    Ok(files)
}

fn edge(answers: &Answers) -> Result<Vec<File>, Drift> {
    let Some(edge) = &answers.edge else { return Ok(Vec::new()) };
    let Edge { origin, origin_rtmp, address, bandwidth, transport, cache } = edge;
    if *cache {
        let mut at = authority(origin).to_owned();
        if host(origin) == at {
            at += if origin.as_str().starts_with("https://") { ":443" } else { ":80" };
        }
        let nginx = answers.nginx(sample!("edge-cache/nginx.conf"))?;
        let mut nginx = nginx
            .put("127.0.0.2:8080", &format!("127.0.0.2:{}", answers.http_port))?
            .put("origin.example.org:8080", &at)?;
        if origin.as_str().starts_with("https://") {
            let verified = format!(
                "proxy_ssl_server_name on;\n    proxy_ssl_name {};\n    proxy_ssl_verify on;\n    \
                 proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;\n    proxy_set_header Host {};",
                host(origin),
                authority(origin)
            );
            nginx = nginx
                .put("http://origin", "https://origin")?
                .put("proxy_set_header Host $proxy_host;", &verified)?;
        }
        return Ok(vec![answers.text("nginx.conf", nginx, NGINX)]);
    }
    const RTMP: &str = "#rtmp = \"rtmp://origin.example.org:1935\"";
    let rtmp = match origin_rtmp {
        Some(url) => format!("rtmp = \"{url}\""),
        None => format!("#rtmp = \"rtmp://{}:1935\"", host(origin)),
    };
    let nginx = answers.nginx(sample!("edge/nginx.conf"))?;
    let daemon = answers
        .daemon(sample!("edge/weir.toml"))?
        .put(
            "\"http://origin.example.org:8080/tv\"",
            &format!("\"{}\"", origin.as_str().trim_end_matches('/')),
        )?
        .put("\"http://edge1.example.org:8080\"", &format!("\"{}\"", address.as_str().trim_end_matches('/')))?
        .put("bandwidth = \"1g\"", &format!("bandwidth = \"{bandwidth}\""))?
        .put(RTMP, &rtmp)?
        .put("transport = \"rtmp\"", &format!("transport = \"{transport}\""))?;
    Ok(vec![
        answers.text("nginx.conf", nginx, NGINX),
        answers.text("weir.toml", daemon, DAEMON),
        secret(),
        cluster_secret(),
    ])
}

fn loadbalancer(answers: &Answers) -> Result<Vec<File>, Drift> {
    let nginx = answers.nginx(sample!("loadbalancer/nginx.conf"))?;
    let daemon = answers.fill(sample!("loadbalancer/weir.toml"));
    let unit = |name, sample, path| answers.text(name, sample, Place::public(path));
    let empty =
        "# The edges; `weir serve` writes this file.\nupstream weir_edges { server 127.0.0.1:9 down; }\n";
    Ok(vec![
        answers.text("nginx.conf", nginx, NGINX),
        answers.text("weir.toml", daemon, DAEMON),
        cluster_secret(),
        File {
            name: "upstream.conf",
            content: Content::Text(empty.to_owned()),
            places: vec![Place { owner: WEIR, ..Place::public("/var/lib/weir/upstream.conf") }],
        },
        unit(
            "weir-upstream.path",
            sample!("loadbalancer/weir-upstream.path"),
            "/etc/systemd/system/weir-upstream.path",
        ),
        unit(
            "weir-upstream.service",
            sample!("loadbalancer/weir-upstream.service"),
            "/etc/systemd/system/weir-upstream.service",
        ),
    ])
}
