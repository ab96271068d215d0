use super::*;
use crate::config::{Config, Error, parse};

#[test]
fn the_secret_of_nginx_is_the_default_of_the_cluster() {
    const NGINX: &str = "[nginx]\nsecret_file = \"/n\"\n";
    const EDGE: &str = "[edge]\norigin = \"https://o\"\naddress = \"https://e\"\nbandwidth = \"1g\"\n";
    let secret = |text: &str| {
        let config = parse(Path::new("weir.toml"), &format!("{NGINX}{text}")).unwrap();
        config.cluster.secret_file.map(|file| file.display().to_string())
    };
    let own = Some("/n".to_owned());
    assert_eq!([secret(EDGE), secret("[cluster]\nstore = \"memory\"\n")], [own.clone(), own.clone()]);
    assert_eq!(secret("[loadbalancer]\nupstream_file = \"/f\"\n"), own);
    assert_eq!(secret(&format!("{EDGE}[cluster]\nsecret_file = \"/s\"\n")), Some("/s".to_owned()));
    // A node with a secret is an origin only if the file says so.
    assert_eq!(secret(""), None);
}

#[test]
fn the_test_of_a_load_balancer_is_that_of_its_nginx() {
    let test = |reload: &str| {
        let text =
            format!("[cluster]\nsecret_file = \"/s\"\n[loadbalancer]\nupstream_file = \"/f\"\n{reload}");
        parse(Path::new("weir.toml"), &text).unwrap().loadbalancer.unwrap().test
    };
    assert_eq!(test(""), ["nginx", "-t"]);
    let own = test("reload = [\"sudo\", \"nginx\", \"-c\", \"/c\", \"-s\", \"reload\"]");
    assert_eq!(own, ["sudo", "nginx", "-c", "/c", "-t"]);
    assert_eq!(test("reload = [\"systemctl\", \"reload\", \"nginx\"]"), [""; 0]);
    assert_eq!(test("test = [\"true\"]"), ["true"]);
}

fn read(text: &str) -> Result<Config, Error> {
    parse(Path::new("weir.toml"), text)
}

#[test]
fn an_edge_knows_itself_by_its_address() {
    let text = "[cluster]\nsecret_file = \"/s\"\n[edge]\norigin = \"https://origin.example.org:8443/tv/\"\n\
                address = \"https://edge1.example.org\"\nbandwidth = \"1g\"\n";
    let edge = read(text).unwrap().edge.unwrap();
    assert_eq!(
        (edge.name.as_str(), edge.bandwidth, edge.max_viewers, edge.max_chat_connections),
        ("edge1.example.org", 1_000_000_000, None, 800)
    );
    assert_eq!(edge.origins[0].as_str(), "https://origin.example.org:8443/tv");
    assert_eq!(edge.rtmp[0].to_string(), "rtmp://origin.example.org:1935");
    let several =
        text.replace("\"https://origin.example.org:8443/tv/\"", "[\"http://a:8090\", \"http://b\"]");
    let edge = read(&several).unwrap().edge.unwrap();
    assert_eq!((edge.origins.len(), edge.rtmp[1].to_string().as_str()), (2, "rtmp://b:1935"));
    let edge = read(&format!("{several}rtmp = \"rtmp://10.0.0.2:1936\"\n")).unwrap().edge.unwrap();
    let servers: Vec<String> = edge.rtmp.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["rtmp://10.0.0.2:1936", "rtmp://b:1935"]);
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("[cluster]\nstore = \"redis\"", "weir.toml:2: store = \"redis\": must be \"memory\" or \"etcd\""),
        ("[cluster]\nstore = \"etcd\"", "etcd is missing, such as"),
        ("[cluster]\npeer = \"http://b:8090\"", "weir.toml:2: peer: needs pair_secret_file"),
        (
            "[cluster]\nsecret_file = \"/s\"\npair_secret_file = \"/s\"\npeer = \"http://b:8090\"",
            "weir.toml:3: pair_secret_file: must be another file than secret_file",
        ),
        ("[cluster]\netcd = [\"127.0.0.1:2379\"]", "write it as http://127.0.0.1:2379"),
        ("[cluster]\netcd_user = \"weir\"", "needs etcd_password_file"),
        ("[[cluster.edge]]\nbandwidth = \"1g\"", "weir.toml:1: [[cluster.edge]]: address is missing"),
        ("[[cluster.edge]]\naddress = \"https://e\"\nbandwidth = \"fast\"", "write a rate as 1g or 500m"),
        (
            "[[region]]\nname = \"eu\"\nnetworks = [\"here\"]",
            "weir.toml:3: networks: \"here\": not a network",
        ),
        ("[edge]\naddress = \"https://e\"", "weir.toml:1: [edge]: origin is missing"),
        ("[edge]\norigin = \"https://o\"", "needs secret_file of [cluster]"),
        (
            "[cluster]\nsecret_file = \"/s\"\n[edge]\norigin = \"https://o\"\naddress = \"https://e\"\nbandwidth = \"1g\"\n\
             rtmp = [\"rtmp://a\", \"rtmp://b\"]",
            "weir.toml:7: rtmp: names more servers than origin has addresses",
        ),
        ("[loadbalancer]\nreload = []", "upstream_file is missing"),
        ("[loadbalancer]\nupstream_file = \"/f\"\nreload = []", "write a program and its arguments"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
