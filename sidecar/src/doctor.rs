//! `weir doctor`: finds faults of this installation and prints one line with the remedy per fault. [`prove`] implements `weir check
//! node --all`.
//!
//! Each file checks one part. Pure functions judge the results; only the checks themselves query the machine.

use weir_model::lint;
use weir_nginx_files::Disk;

use crate::config;
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

/// Checks all parts, from nginx's configuration to the clock.
pub(crate) async fn examine(installation: &Installation, nginx: &Nginx) -> Vec<Finding> {
    let mut found = trial::examine(&installation.nginx, &installation.conf).await;
    match lint::read(&installation.conf, &Disk) {
        Ok(tree) => {
            found.extend(configuration::examine(&tree));
            found.extend(api::examine(nginx).await);
            found.extend(ports::examine(&tree).await);
        }
        // The trial run has reported the fault, except when this user may not read the file.
        Err(error) => {
            let remedy = "run weir doctor as root, or name the file with --conf";
            found.push(Finding::problem("configuration", error.to_string(), remedy));
            found.extend(api::examine(nginx).await);
        }
    }
    found.extend(daemon::examine(installation, true).await);
    // The daemon's part has reported any fault of this file.
    if let Ok(config) = config::load(&installation.config) {
        found.extend(rtmp::examine(Some(&config), nginx).await);
    }
    found.extend(clock::examine().await);
    found
}
