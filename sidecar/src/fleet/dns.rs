//! Publishes the names of the edges in DNS, with the command of `[dns]`.

use std::net::IpAddr;

use super::error::Error;
use super::process;
use crate::config::fleet::Fleet;

/// Task of the command. It may be repeated after a restart, so the command must accept a task that is done already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// Runs the command. Does nothing without `[dns]`.
pub(super) async fn tell(
    fleet: &Fleet,
    change: Change,
    name: &str,
    address: Option<IpAddr>,
) -> Result<(), Error> {
    let Some(dns) = &fleet.dns else { return Ok(()) };
    let action = match change {
        Change::Add => "add",
        Change::Remove => "remove",
    };
    let variables = [
        ("WEIR_EVENT", fleet.event.clone()),
        ("WEIR_ACTION", action.to_owned()),
        ("WEIR_EDGE", name.to_owned()),
        ("WEIR_ADDRESS", address.map(|address| address.to_string()).unwrap_or_default()),
    ];
    match process::run(&dns.command, &variables, "", dns.timeout).await {
        Ok(_) => {
            tracing::info!("DNS updated: {action}, edge: {name}");
            Ok(())
        }
        Err(why) => Err(Error::Program { what: "[dns]: command", why: format!("{why} ({action} {name})") }),
    }
}
