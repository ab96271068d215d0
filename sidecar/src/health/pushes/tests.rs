use super::*;
use crate::health::fake::FakeApi;

#[test]
fn selections() {
    assert_eq!("all".parse(), Ok(Selection::All));
    assert_eq!("note:main output".parse(), Ok(Selection::Note("main output".into())));
    assert_eq!("t1,t2".parse(), Ok(Selection::Ids(["t1".into(), "t2".into()].into())));
    for bad in ["", "note:", "t1,,t2", "t1, t2", "t/1"] {
        assert!(bad.parse::<Selection>().is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn only_what_is_selected_and_otherwise_is_changed() {
    let api =
        FakeApi::start(&[("t1", "pair", false), ("t2", "pair", true), ("t3", "", false), ("tf", "", false)]);
    let nginx = api.nginx();
    let bring = async |selection: &str, role| {
        let done = bring(&nginx, &selection.parse().unwrap(), role).await.unwrap();
        (done.changed, done.kept, done.fixed)
    };
    assert_eq!(bring("note:pair", Role::Active).await, (1, 1, vec![]));
    assert_eq!(api.enabled(), ["t1", "t2"]);
    assert_eq!(bring("note:pair", Role::Active).await, (0, 2, vec![]));
    assert_eq!(bring("t3,t9", Role::Active).await, (1, 0, vec![]));
    assert_eq!(bring("all", Role::Active).await, (0, 3, vec!["tf".to_owned()]));
    assert_eq!(bring("all", Role::Standby).await, (3, 1, vec![]));
    assert_eq!(api.enabled(), [""; 0]);
    assert_eq!(api.kept.lock().unwrap().changes, ["t1 true", "t3 true", "t1 false", "t2 false", "t3 false"]);
}

#[tokio::test]
async fn a_node_of_a_pair_holds_its_pushes_and_changes_no_target() {
    let api = FakeApi::start(&[("t1", "", true), ("t2", "", false)]);
    api.kept.lock().unwrap().paired = true;
    let nginx = api.nginx();
    for (role, held) in [(Role::Standby, true), (Role::Active, false)] {
        let done = bring(&nginx, &"note:x".parse().unwrap(), role).await.unwrap();
        assert_eq!((done.held, api.kept.lock().unwrap().held), (Some(held), held));
    }
    assert_eq!((api.enabled(), api.kept.lock().unwrap().changes.len()), (vec!["t1".to_owned()], 0));
}

#[tokio::test]
async fn an_api_that_is_away_is_worth_another_try_and_one_that_refuses_is_not() {
    let api = FakeApi::start(&[]);
    let nginx = api.nginx();
    api.set_down(true);
    assert!(is_transient(&bring(&nginx, &Selection::All, Role::Active).await.unwrap_err()));
    let nowhere = Nginx::new("unix:/no/such/socket:/api".parse().unwrap(), None).unwrap();
    assert!(is_transient(&bring(&nowhere, &Selection::All, Role::Active).await.unwrap_err()));
    let refused = nginx::Error::Refused {
        status: reqwest::StatusCode::FORBIDDEN,
        code: "forbidden".into(),
        message: "only loopback".into(),
    };
    assert!(!is_transient(&refused));
}
