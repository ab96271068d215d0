//! `weir doctor`: finds faults of this installation and prints one line with the remedy per fault. [`prove`] implements `weir check
//! node --all`.
//!
//! Each file checks one part. Pure functions judge the results; only the checks themselves query the machine.

use std::path::Path;

use weir_model::lint;
use weir_nginx_files::Disk;

use crate::config::{self, Config};
use crate::nginx::Nginx;

mod api;
mod clock;
mod cluster;
mod configuration;
mod daemon;
mod finding;
mod folders;
mod installation;
mod node;
mod ports;
mod rtmp;
mod settings;
mod trial;

pub(crate) use finding::{Finding, State};
pub(crate) use installation::Installation;
pub(crate) use node::{Node, prove};
use settings::Settings;

/// Returns the client of the API that `weir.toml` names; `None` if this user cannot use the file or its token.
pub(crate) fn api_of(config: &Path) -> Option<Nginx> {
    api::of_config(&config::load(config).ok()?)
}

/// Checks all parts, from nginx's configuration to the clock.
pub(crate) async fn examine(installation: &Installation, nginx: &Nginx) -> Vec<Finding> {
    let config = config::load(&installation.config).ok();
    // A load balancer only passes requests on: its nginx has no zone, no API and no streams.
    let follows = config.as_ref().is_none_or(Config::follows_nginx);
    let mut found = trial::examine(&installation.nginx, &installation.conf).await;
    match lint::read(&installation.conf, &Disk) {
        Ok(tree) => {
            found.extend(configuration::examine(&tree, follows));
            found.extend(folders::examine(&tree).await);
            if follows {
                found.extend(api::examine(nginx).await);
            }
            found.extend(ports::examine(&tree).await);
        }
        // The trial run has reported the fault, except when this user may not read the file.
        Err(error) => {
            let remedy = "run weir doctor as root, or name the file with --conf";
            found.push(Finding::problem("configuration", error.to_string(), remedy));
            if follows {
                found.extend(api::examine(nginx).await);
            }
        }
    }
    found.extend(daemon::examine(installation, follows).await);
    // The daemon's part has reported any fault of this file. A file that sets nothing does not say where nginx is.
    let is_set = Settings::of_file(&installation.config) != Settings::None;
    if let Some(config) = config.filter(|_| is_set) {
        if follows {
            found.extend(rtmp::examine(Some(&config), nginx).await);
        }
        found.extend(cluster::streams_of_edge(&config, &installation.socket).await);
    }
    found.extend(clock::examine().await);
    found
}
