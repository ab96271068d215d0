//! The answers of `weir init`: from options, from a user at a terminal, or defaults.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use weir_model::link::Base;

use super::Error;
use crate::cli::init::{InitArgs, OriginRtmp, TransportName};
use crate::init::{Answers, Edge, Pair, Role};
use crate::values::{Host, Rate};

/// Asks at a terminal for the answers that no option gives.
pub(super) struct Asker {
    is_terminal: bool,
}

/// A question.
struct Question<'q> {
    option: &'static str,
    text: &'q str,
    /// Meaning of an empty line; only at a terminal.
    proposal: Option<String>,
    /// Example for error messages.
    example: &'q str,
}

impl Asker {
    pub(super) fn new() -> Self {
        Self { is_terminal: stdin().is_terminal() && stderr().is_terminal() }
    }

    /// Returns all answers, and the file with the cluster's secret.
    pub(super) fn answers(&mut self, args: &InitArgs) -> Result<(Answers, Option<PathBuf>), Error> {
        let role = args.role;
        check_options(args)?;
        if args.http_port == args.rtmp_port {
            return Err(usage("--rtmp-port", &args.rtmp_port, "must differ from --http-port"));
        }
        let mut answers = Answers {
            role,
            http_port: args.http_port,
            rtmp_port: args.rtmp_port,
            url: None,
            public_name: None,
            drop_in: args.drop_in,
            edge: None,
            pair: None,
        };
        let mut cluster_secret = args.cluster_secret.clone();
        match role {
            Role::Single | Role::Origin => answers.url = Some(self.url(args)?),
            Role::Restream => {
                let question = Question {
                    option: "--public-name",
                    text: "Host of this server for encoders",
                    proposal: Some(host_name()),
                    example: "live.example.org",
                };
                answers.public_name = Some(self.answer(args.public_name.clone(), question)?.0);
            }
            Role::Edge => {
                answers.edge = Some(self.edge(args)?);
                if !args.cache {
                    cluster_secret = Some(self.cluster_secret(cluster_secret)?);
                }
            }
            Role::Loadbalancer => cluster_secret = Some(self.cluster_secret(cluster_secret)?),
        }
        if matches!(role, Role::Restream | Role::Origin | Role::Loadbalancer) {
            answers.pair = self.pair(args)?;
        }
        Ok((answers, cluster_secret))
    }

    pub(super) fn path(
        &mut self,
        option: &'static str,
        text: &str,
        proposal: &str,
    ) -> Result<PathBuf, Error> {
        let question = Question { option, text, proposal: Some(proposal.to_owned()), example: proposal };
        self.answer::<PathBuf>(None, question)
    }

    fn url(&mut self, args: &InitArgs) -> Result<Base, Error> {
        let own = format!("http://{}:{}", host_name(), args.http_port);
        let question = Question {
            option: "--url",
            text: "Address of this server for viewers",
            proposal: Some(own),
            example: "https://live.example.org",
        };
        let url = self.answer(args.url.clone(), question)?;
        no_path("--url", &url)?;
        Ok(url)
    }

    fn edge(&mut self, args: &InitArgs) -> Result<Edge, Error> {
        let (text, example) = match args.cache {
            true => ("Address of the origin's nginx", "http://origin.example.org:8080"),
            false => ("Address of the origin's pages", "https://origin.example.org/tv"),
        };
        let question = Question { option: "--origin", text, proposal: None, example };
        let origin = self.answer(args.origin.clone(), question)?;
        let own = format!("http://{}:{}", host_name(), args.http_port);
        let question = Question {
            option: "--address",
            text: "Address of this machine for viewers",
            proposal: Some(own),
            example: "https://edge1.example.org",
        };
        let address = self.answer(args.address.clone(), question)?;
        let question = Question {
            option: "--bandwidth",
            text: "What its network can send, in bits per second",
            proposal: Some("1g".to_owned()),
            example: "1g",
        };
        let bandwidth = self.answer(args.bandwidth, question)?;
        if args.cache {
            no_path("--origin", &origin)?;
        }
        let transport = args.transport.unwrap_or(TransportName::Rtmp).word();
        let origin_rtmp = args.origin_rtmp.as_ref().map(|OriginRtmp(url)| url.clone());
        Ok(Edge { origin, origin_rtmp, address, bandwidth: shown(bandwidth), transport, cache: args.cache })
    }

    fn cluster_secret(&mut self, given: Option<PathBuf>) -> Result<PathBuf, Error> {
        let question = Question {
            option: "--cluster-secret",
            text: "File with the origin's cluster.secret",
            proposal: None,
            example: "cluster.secret",
        };
        self.answer(given, question)
    }

    /// Returns the two machines, if there is a shared address.
    fn pair(&mut self, args: &InitArgs) -> Result<Option<Pair>, Error> {
        let address = match args.virtual_ip {
            Some(address) => address,
            None if !self.is_terminal => return Ok(None),
            None => {
                let answer: String = self.line("Address that two machines share (empty: one machine)", "")?;
                match answer.is_empty() {
                    true => return Ok(None),
                    false => parsed("--virtual-ip", &answer, "192.0.2.10")?,
                }
            }
        };
        let mut machine = |option, given, text| {
            let question = Question { option, text, proposal: None, example: "192.0.2.11" };
            self.answer::<IpAddr>(given, question)
        };
        let a = machine("--machine-a", args.machine_a, "Address of the first machine")?;
        let b = machine("--machine-b", args.machine_b, "Address of the second machine")?;
        for (option, own) in [("--machine-a", a), ("--machine-b", b)] {
            if own.is_ipv4() != address.is_ipv4() {
                let kind = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                return Err(usage(option, &own, &format!("must be an {kind} address, as --virtual-ip is")));
            }
        }
        if a == b || a == address || b == address {
            let why = "--virtual-ip, --machine-a and --machine-b must be three addresses";
            return Err(Error::Usage(why.into()));
        }
        let usual = if address.is_ipv4() { 24 } else { 64 };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = self.usual("--prefix", args.prefix, "Prefix length of their network", usual)?;
        if prefix > most {
            return Err(usage("--prefix", &prefix, &format!("must be at most {most}")));
        }
        let interface =
            self.usual("--interface", args.interface.clone(), "Their network interface", "eth0".to_owned())?;
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"/\"#!{}".contains(&byte);
        if interface.is_empty() || interface.len() > 15 || !interface.bytes().all(fits) {
            return Err(usage("--interface", &interface, "must be the name of an interface, such as eth0"));
        }
        let router_id = args.router_id.unwrap_or(crate::init::router_id(args.role));
        Ok(Some(Pair { address, machines: [a, b], interface, prefix, router_id }))
    }

    /// Returns an answer with a default that also applies without a terminal.
    fn usual<T: FromStr<Err: Display> + Display>(
        &mut self,
        option: &'static str,
        given: Option<T>,
        text: &str,
        usual: T,
    ) -> Result<T, Error> {
        if given.is_none() && !self.is_terminal {
            return Ok(usual);
        }
        let example = usual.to_string();
        self.answer(given, Question { option, text, proposal: Some(usual.to_string()), example: &example })
    }

    fn answer<T: FromStr<Err: Display>>(
        &mut self,
        given: Option<T>,
        question: Question<'_>,
    ) -> Result<T, Error> {
        let Question { option, text, proposal, example } = question;
        if let Some(given) = given {
            return Ok(given);
        }
        if !self.is_terminal {
            return Err(Error::Usage(format!("{option} is missing: {text}, such as {option} {example}")));
        }
        loop {
            let line = self.line(text, proposal.as_deref().unwrap_or_default())?;
            match line.parse() {
                _ if line.is_empty() => say(&format!("An answer is needed, such as {example}.\n"))?,
                Ok(answer) => return Ok(answer),
                Err(why) => say(&format!("{line:?}: {why}\n"))?,
            }
        }
    }

    /// Reads one line from the terminal; an empty line means the proposal.
    fn line(&mut self, text: &str, proposal: &str) -> Result<String, Error> {
        let shown = if proposal.is_empty() { String::new() } else { format!(" [{proposal}]") };
        say(&format!("{text}{shown}: "))?;
        let mut line = String::new();
        match stdin().read_line(&mut line) {
            Ok(0) => Err(Error::Input("ended before all questions were answered".into())),
            Ok(_) if line.trim().is_empty() => Ok(proposal.to_owned()),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(Error::Input(error.to_string())),
        }
    }
}

fn say(text: &str) -> Result<(), Error> {
    let mut out = stderr();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Terminal)
}

fn usage(option: &str, value: &dyn Display, why: &str) -> Error {
    Error::Usage(format!("{option} {value}: {why}"))
}

fn parsed<T: FromStr<Err: Display>>(option: &str, text: &str, example: &str) -> Result<T, Error> {
    text.parse().map_err(|why: T::Err| usage(option, &text, &format!("{why}, such as {example}")))
}

/// Refuses an address with a path: the samples append /tv.
fn no_path(option: &str, base: &Base) -> Result<(), Error> {
    let text = base.as_str();
    match text.trim_end_matches('/').matches('/').count() {
        2 => Ok(()),
        _ => Err(usage(option, &text, "must be an address without a path, such as https://live.example.org")),
    }
}

/// Refuses options that do not apply to the role.
fn check_options(args: &InitArgs) -> Result<(), Error> {
    use Role::{Edge, Loadbalancer, Origin, Restream, Single};
    let pair: &[Role] = &[Restream, Origin, Loadbalancer];
    let given: [(&str, bool, &[Role]); 17] = [
        ("--url", args.url.is_some(), &[Single, Origin]),
        ("--public-name", args.public_name.is_some(), &[Restream]),
        ("--drop-in", args.drop_in, &[Single]),
        ("--origin", args.origin.is_some(), &[Edge]),
        ("--origin-rtmp", args.origin_rtmp.is_some(), &[Edge]),
        ("--interface", args.interface.is_some(), pair),
        ("--address", args.address.is_some(), &[Edge]),
        ("--bandwidth", args.bandwidth.is_some(), &[Edge]),
        ("--transport", args.transport.is_some(), &[Edge]),
        ("--cache", args.cache, &[Edge]),
        ("--cluster-secret", args.cluster_secret.is_some(), &[Origin, Edge, Loadbalancer]),
        ("--secret", args.secret.is_some(), &[Single, Origin, Edge]),
        ("--virtual-ip", args.virtual_ip.is_some(), pair),
        ("--machine-a", args.machine_a.is_some(), pair),
        ("--machine-b", args.machine_b.is_some(), pair),
        ("--prefix", args.prefix.is_some(), pair),
        ("--router-id", args.router_id.is_some(), pair),
    ];
    for (option, is_given, roles) in given {
        if is_given && !roles.contains(&args.role) {
            let roles: Vec<&str> = roles.iter().map(|role| role.word()).collect();
            let why =
                format!("{option}: is an option of {}, not of {}", roles.join(" and "), args.role.word());
            return Err(Error::Usage(why));
        }
    }
    if args.cache && (args.cluster_secret.is_some() || args.secret.is_some() || args.transport.is_some()) {
        let why = "--cache: an edge of nginx alone has no daemon: leave out --transport, --secret and --cluster-secret";
        return Err(Error::Usage(why.into()));
    }
    Ok(())
}

/// Returns the machine's host name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.parse::<Host>().is_ok() { name.to_owned() } else { "localhost".to_owned() }
}

/// Formats a rate for weir.toml.
fn shown(Rate(rate): Rate) -> String {
    let units = [(1_000_000_000, "g"), (1_000_000, "m"), (1000, "k")];
    match units.into_iter().find(|(unit, _)| rate.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", rate / unit),
        None => rate.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(words: &[&str]) -> Result<Answers, Box<dyn std::error::Error>> {
        let line = ["weir", "init"].iter().chain(words);
        let Command::Init(args) = Cli::try_parse_from(line)?.command else { panic!("not init") };
        Ok(Asker { is_terminal: false }.answers(&args)?.0)
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let pair = ["--virtual-ip", "192.0.2.10", "--machine-a", "192.0.2.11"];
        for (words, expected) in [
            (
                &["single"][..],
                "--url is missing: Address of this server for viewers, such as --url https://live.example.org",
            ),
            (&["restream"], "--public-name is missing"),
            (&["edge"], "--origin is missing"),
            (&["edge", "--origin", "http://o/tv"], "--address is missing"),
            (&["edge", "--origin", "http://o/tv", "--address", "http://e"], "--bandwidth is missing"),
            (
                &["edge", "--origin", "http://o/tv", "--address", "http://e", "--bandwidth", "1g"],
                "--cluster-secret is missing",
            ),
            (&["loadbalancer"], "--cluster-secret is missing"),
            (&["single", "--url", "https://l/tv"], "--url https://l/tv: must be an address without a path"),
            (
                &["single", "--url", "https://l", "--virtual-ip", "::1"],
                "--virtual-ip: is an option of restream and origin and loadbalancer, not of single",
            ),
            (&["edge", "--cache", "--secret", "x"], "--cache: an edge of nginx alone has no daemon"),
            (&["single", "--url", "ftp://l"], "write it as https://live.example.org"),
        ] {
            let error = asked(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
        let restream =
            |more: &[&str]| asked(&[&["restream", "--public-name", "l"], &pair[..], more].concat());
        assert!(restream(&[]).unwrap_err().to_string().starts_with("--machine-b is missing"));
        assert!(
            restream(&["--machine-b", "192.0.2.11"]).unwrap_err().to_string().contains("three addresses")
        );
        assert!(
            restream(&["--machine-b", "::1"]).unwrap_err().to_string().contains("must be an IPv4 address")
        );
        let good = restream(&["--machine-b", "192.0.2.12"]).unwrap().pair.unwrap();
        assert_eq!((good.prefix, good.interface.as_str(), good.router_id), (24, "eth0", 51));
    }

    #[test]
    fn rates_are_written_short() {
        assert_eq!(
            ["2g", "1500m", "12345678"].map(|text| shown(text.parse().unwrap())),
            ["2g", "1500m", "12345678"]
        );
    }
}
