//! keepalived.conf for two machines with one address.

use super::answers::{Answers, Pair, Role};
use super::sample::{Drift, Sample};
use super::{Content, File, Place};

const RESTREAM: &str = include_str!("../../../nginx-conf/keepalived/restream.conf");
const LOADBALANCER: &str = include_str!("../../../nginx-conf/keepalived/loadbalancer.conf");

/// Returns the `virtual_router_id` in a role's sample.
pub(crate) fn router_id(role: Role) -> u8 {
    if role == Role::Loadbalancer { 52 } else { 51 }
}

/// Returns the file if there are two machines.
pub(super) fn file(answers: &Answers) -> Result<Option<File>, Drift> {
    let Some(pair) = &answers.pair else { return Ok(None) };
    let (name, text) = match answers.role {
        Role::Loadbalancer => ("keepalived/loadbalancer.conf", LOADBALANCER),
        _ => ("keepalived/restream.conf", RESTREAM),
    };
    let Pair { address, machines: [a, b], interface, prefix, router_id: own } = pair;
    let router_id = router_id(answers.role);
    let old_url = match answers.role {
        Role::Loadbalancer => "http://127.0.0.1:8080/healthz",
        _ => "rtmp://127.0.0.1:1935/live",
    };
    let new_url = match answers.role {
        Role::Loadbalancer => format!("http://127.0.0.1:{}/healthz", answers.http_port),
        _ => format!("rtmp://127.0.0.1:{}/live", answers.rtmp_port),
    };
    let sample = Sample::new(name, text)
        .put(&format!("virtual_router_id {router_id}"), &format!("virtual_router_id {own}"))?
        .put("    interface eth0", &format!("    interface {interface}"))?
        .put("192.0.2.10/24", &format!("{address}/{prefix}"))?
        .put("@a  unicast_src_ip 192.0.2.11", &format!("@a  unicast_src_ip {a}"))?
        .put("@b  unicast_src_ip 192.0.2.12", &format!("@b  unicast_src_ip {b}"))?
        .put("@b      192.0.2.11", &format!("@b      {a}"))?
        .put("@a      192.0.2.12", &format!("@a      {b}"))?
        // These lines are the list of changes in the header of the sample.
        .put("\n#   192.0.2.10  ", &format!("\n#   {address}  "))?
        .put("\n#   192.0.2.11, .12  ", &format!("\n#   {a}, {b}  "))?
        .put("\n#   eth0, 24  ", &format!("\n#   {interface}, {prefix}  "))?
        .put("# Change these:", "# These are of your machines:")?
        .put_if_there("rtmp://192.0.2.10/live", &format!("rtmp://{}/live", bracketed(address)))
        .put(old_url, &new_url)?;
    let sample = match answers.role {
        // This is the port of the API.
        Role::Loadbalancer => sample.put_if_there("port 8080", &format!("port {}", answers.http_port)),
        _ if answers.http_port == 8080 => sample,
        _ => {
            let api = format!("--api http://127.0.0.1:{}/api", answers.http_port);
            sample
                .put("/usr/bin/weir check node ", &format!("/usr/bin/weir check node {api} "))?
                .put("/usr/bin/weir notify ", &format!("/usr/bin/weir notify {api} "))?
        }
    };
    let text = sample.written_by(&format!("weir init {}", answers.role.word()));
    Ok(Some(File {
        name: "keepalived.conf",
        content: Content::Text(text),
        places: vec![Place::public("/etc/keepalived/keepalived.conf")],
    }))
}

/// Formats an address for a URL.
pub(super) fn bracketed(address: &std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}
