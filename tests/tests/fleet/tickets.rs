//! A ticket joins one edge once; the edge exchanges it for a credential, which is valid for this edge only, and for a limited time.

use serde_json::{Value, json};
use weir_tests::harness::{Sidecar, files, until};

use super::{nginx, origin};

fn post(daemon: &Sidecar, path: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}{path}", daemon.web());
    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().unwrap()).unwrap_or_default())
}

fn ticket(daemon: &Sidecar, name: &str, more: &[&str]) -> String {
    let (status, text, errors) = daemon.command(&[&["edge", "ticket", name], more].concat());
    assert_eq!(status, 0, "{errors}");
    text.trim().to_owned()
}

#[test]
fn a_ticket_joins_one_edge_once() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let first = ticket(&daemon, "gala-1", &[]);
    let ask = |ticket: &str, user: &str| {
        post(&daemon, "/v1/edges/join", &json!({ "ticket": ticket, "user": user }))
    };
    assert_eq!(ask("wj_0123", "me").0, 403);
    assert_eq!(post(&daemon, "/v1/edges/join", &json!({})).0, 400);
    let (status, answer) = ask(&first, "me");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ask(&first, "me").1, answer, "the answer was lost");
    let (status, refused) = ask(&first, "somebody");
    let why = "the ticket was used already: weir edge ticket NAME on the origin prints a new one";
    assert_eq!((status, &refused["error"]["message"]), (403, &why.into()));

    // The edge has the credential, but not the secret of the cluster.
    let file = nginx.path("edge.credential");
    std::fs::write(&file, answer["credential"].as_str().unwrap()).unwrap();
    let edge = |name: &str, file: &str| {
        format!(
            "[web]\n[edge]\norigin = \"http://127.0.0.1:{}\"\nname = \"{name}\"\naddress = \"https://{name}.example.org\"\n\
             bandwidth = \"1g\"\ncredential_file = \"{file}\"\n",
            daemon.web()
        )
    };
    let file_name = file.display().to_string();
    let joined = Sidecar::start(&nginx, &edge("gala-1", &file_name));
    until("it has joined", 5.0, || daemon.command(&["edge", "list"]).1.contains("gala-1"));
    joined.wait_log("edge joined");

    // These are an expired credential, one with another name in the header, and a forged one.
    let short = ticket(&daemon, "gala-2", &["--credential-ttl", "1s"]);
    let over = ask(&short, "x").1["credential"].as_str().unwrap().to_owned();
    let fields: Vec<&str> = over.split_whitespace().collect();
    let later =
        format!("{} {} {} {}\n", fields[0], fields[1], fields[2].parse::<u64>().unwrap() + 1000, fields[3]);
    for (credential, expected) in [(&over, "is over"), (&later, "not signed")] {
        let file = nginx.path("other.credential");
        std::fs::write(&file, credential).unwrap();
        let edge = Sidecar::start(&nginx, &edge("gala-2", &file.display().to_string()));
        until("it is refused", 10.0, || {
            edge.log().contains("edge not joined") && edge.log().contains(expected)
        });
        // The edge may have joined before the credential expired; then its lease ends.
        until("it is not there", 10.0, || !daemon.command(&["edge", "list"]).1.contains("gala-2"));
    }
    assert!(!daemon.log().contains(&first) && !daemon.log().contains(fields[3]), "{}", daemon.log());
    drop(joined);
}

#[test]
fn the_command_joins_and_says_why_not() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let (paper, credential) = (nginx.path("ticket"), nginx.path("credential"));
    std::fs::write(&paper, ticket(&daemon, "gala-1", &[])).unwrap();
    let join = || {
        let output = std::process::Command::new(weir_tests::harness::products::weir())
            .args(["edge", "join", &format!("http://127.0.0.1:{}", daemon.web()), "--ticket-file"])
            .args([&paper, &credential])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(join(), (Some(0), String::new()));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&credential).unwrap());
    assert!(files::text(&credential).starts_with("weir-edge-1 gala-1 ") && mode & 0o777 == 0o600, "{mode:o}");
    let (status, said) = join();
    assert!(status == Some(1) && said.contains("the ticket was used already"), "{said}");
}
