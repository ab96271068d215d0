//! Names to addresses: the machine's hosts file, and then its name servers.

use std::{net::IpAddr, path::Path};

use ngx_rtmp::{
    resolver::{self, NoAddress},
    thread::{self, After},
};
use weir_model::push::{EXCHANGE_MS, LastError, hosts};

use crate::pools;

/// What is called with the addresses of a name.
pub type Answer = Box<dyn FnOnce(Result<Vec<IpAddr>, LastError>) + Send>;

/// Looks a name up, in the machine's hosts file and then by its name servers. The answer comes later.
pub fn resolve(name: &str, answer: Answer) {
    let wanted = name.to_owned();
    let read = move || -> After {
        let file = std::fs::read_to_string(Path::new("/etc/hosts")).unwrap_or_default();
        let known = hosts::lookup(&file, &wanted);
        Box::new(move || match known.is_empty() {
            true => ask(&wanted, answer),
            false => answer(Ok(known)),
        })
    };
    // A pool that takes no more drops the answer: the look-up ends by its time-out.
    thread::run_alone(pools::NAMES, read);
}

fn ask(name: &str, answer: Answer) {
    let answer = |found: Result<Vec<IpAddr>, NoAddress>| {
        answer(found.map_err(|error| match error {
            NoAddress::Unknown => LastError::HostNotFound,
            NoAddress::TimedOut => LastError::ResolverTimeout,
            NoAddress::Other(text) => LastError::Resolver(text),
        }));
    };
    resolver::resolve(name, EXCHANGE_MS as usize, Box::new(answer));
}
