//! `user:password@` in a target's URL, as servers of Adobe and Limelight require it. ffmpeg also logs in to the test's server, which shows
//! that the server asks correctly.

use std::process::Stdio;

use weir_tests::harness::peer::{Account, Method};
use weir_tests::harness::{Manners, Peer, ffmpeg, files, until};

use super::{Stage, source};

const USER: &str = "some-user";
const PASSWORD: &str = "pw-4711-secret";

fn account(method: Method) -> Account {
    Account { method, user: USER.to_owned(), password: PASSWORD.to_owned() }
}

fn with_user(peer: &Peer, credentials: &str, path: &str) -> String {
    format!("rtmp://{credentials}@{}/{path}", peer.address())
}

#[test]
fn a_user_with_a_password_gets_in() {
    let stage = Stage::set(source(""));
    for (method, app) in [(Method::Adobe, "app"), (Method::Llnw, "app"), (Method::Llnw, "app/instance")] {
        let peer = Peer::start(Manners::Asks(account(method)));
        let id = stage.add(&with_user(&peer, &format!("{USER}:{PASSWORD}"), &format!("{app}/key")));
        let session = stage.wait_state(&id, "live");
        peer.wait_frames("key", 20);
        assert_eq!(session["reconnects"], 0, "{method:?}: {session}");
        assert_eq!(peer.calls().len(), 3, "{method:?}: asked, challenged, taken");
        assert!(peer.calls().iter().all(|call| !call.app.contains(PASSWORD)));
    }
    let told = files::that_mention(stage.nginx.folder(), PASSWORD);
    assert!(told.is_empty(), "{told:?}");
    stage.is_undisturbed();
}

#[test]
fn wrong_credentials_and_none_are_told_apart() {
    let stage = Stage::set(source(""));
    for method in [Method::Adobe, Method::Llnw] {
        let peer = Peer::start(Manners::Asks(account(method)));
        for credentials in [format!("{USER}:wrong"), format!("nobody:{PASSWORD}")] {
            let id = stage.add(&with_user(&peer, &credentials, "app/key"));
            stage.wait_error(&id, "rejected: wrong user or password");
        }
        let id = stage.add(&peer.url("app/key"));
        stage.wait_error(&id, "rejected: it asks for a user and a password");
    }
    stage.is_undisturbed();
}

#[test]
fn ffmpeg_gets_into_the_same_servers() {
    for method in [Method::Adobe, Method::Llnw] {
        let peer = Peer::start(Manners::Asks(account(method)));
        let url = with_user(&peer, &format!("{USER}:{PASSWORD}"), "app/key");
        let mut child = ffmpeg::publishing(&url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let taken = weir_tests::harness::until_ok(15.0, || peer.open("key").len() == 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(taken.is_some(), "{method:?}: {:?}", peer.calls());
        until("it is gone", 5.0, || peer.open("key").is_empty());
    }
}
