//! Resolves names to addresses: first with the machine's hosts file, then with its name servers.

use std::{net::IpAddr, path::Path};

use ngx_rtmp::{
    resolver::{self, NoAddress},
    sessions::Sessions,
    thread::{self, After},
};
use weir_model::push::{EXCHANGE_MS, LastError, hosts};

use crate::pools;

/// Callback for the addresses of a name.
pub type Answer = Box<dyn FnOnce(&mut Sessions<'_>, Result<Vec<IpAddr>, LastError>) + Send>;

/// Looks a name up in the machine's hosts file, then with its name servers. Calls `answer` later.
pub fn resolve(name: &str, answer: Answer) {
    let wanted = name.to_owned();
    let read = move || -> After {
        let file = std::fs::read_to_string(Path::new("/etc/hosts")).unwrap_or_default();
        let known = hosts::lookup(&file, &wanted);
        Box::new(move |sessions: &mut Sessions<'_>| match known.is_empty() {
            true => ask(sessions, &wanted, answer),
            false => answer(sessions, Ok(known)),
        })
    };
    // If the pool accepts no more tasks, the answer is dropped, and the look-up ends by its time-out.
    thread::run_alone(pools::NAMES, read);
}

fn ask(sessions: &mut Sessions<'_>, name: &str, answer: Answer) {
    let answer = |sessions: &mut Sessions<'_>, found: Result<Vec<IpAddr>, NoAddress>| {
        let found = found.map_err(|error| match error {
            NoAddress::Unknown => LastError::HostNotFound,
            NoAddress::TimedOut => LastError::ResolverTimeout,
            NoAddress::Other(text) => LastError::Resolver(text),
        });
        answer(sessions, found);
    };
    resolver::resolve(sessions, name, EXCHANGE_MS as usize, Box::new(answer));
}
