//! `weir doctor`: what is wrong with this installation, a line each, with the remedy. [`prove`] is `weir check node --all`.
//!
//! Each file looks at one part. What a part says of what it has seen is a pure function; only the looking asks the machine.

use weir_model::lint;

use crate::config;
use crate::files::configuration::Disk;
use crate::nginx::Nginx;

mod api;
mod clock;
mod cluster;
mod configuration;
mod daemon;
mod finding;
mod installation;
mod node;
mod ports;
mod rtmp;
mod trial;

pub(crate) use finding::{Finding, State};
pub(crate) use installation::Installation;
pub(crate) use node::{Node, prove};

/// Looks at all parts, from nginx's configuration to the clock.
pub(crate) async fn examine(installation: &Installation, nginx: &Nginx) -> Vec<Finding> {
    let mut found = trial::examine(&installation.nginx, &installation.conf).await;
    match lint::read(&installation.conf, &Disk) {
        Ok(tree) => {
            found.extend(configuration::examine(&tree));
            found.extend(api::examine(nginx).await);
            found.extend(ports::examine(&tree).await);
        }
        // The trial has said what is wrong with it, unless it is not ours to read.
        Err(error) => {
            let remedy = "run weir doctor as root, or name the file with --conf";
            found.push(Finding::problem("configuration", error.to_string(), remedy));
            found.extend(api::examine(nginx).await);
        }
    }
    found.extend(daemon::examine(installation, true).await);
    // What is wrong with the file, the daemon's part has said.
    if let Ok(config) = config::load(&installation.config) {
        found.extend(rtmp::examine(Some(&config), nginx).await);
    }
    found.extend(clock::examine().await);
    found
}
