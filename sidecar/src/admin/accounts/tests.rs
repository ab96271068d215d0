use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::from_millis(clock::now().as_millis() + seconds * 1000)
}

#[test]
fn a_change_is_seen_by_everybody_who_has_the_file_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/admins");
    let (daemon, cli) = (Store::new(&path), Store::new(&path));
    assert!(!daemon.accounts().unwrap().has_admin());
    cli.put(&name("ana"), None, &Secret::new("password 1")).unwrap();
    cli.put(&name("Bo"), Some(Role::Viewer), &Secret::new("password 2")).unwrap();
    let first = daemon.accounts().unwrap();
    assert!(first.has_admin() && first.find("ana").unwrap().role == Role::Admin);
    cli.put(&name("ana"), None, &Secret::new("password 3")).unwrap();
    let second = daemon.accounts().unwrap();
    assert_ne!(first.find("ana").unwrap().stamp(), second.find("ana").unwrap().stamp());
    cli.remove(&name("Bo")).unwrap();
    assert!(matches!(cli.remove(&name("Bo")), Err(Error::Unknown(_))));
    assert!(daemon.accounts().unwrap().find("Bo").is_none());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert!(!fs::read_to_string(&path).unwrap().contains("password 3"));
    fs::write(&path, "[").unwrap();
    assert!(matches!(cli.put(&name("ana"), None, &Secret::new("password 4")), Err(Error::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"[");
}

#[test]
fn a_password_changes_only_on_the_account_that_was_checked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(&folder.path().join("admins"));
    let stamp = || store.accounts().unwrap().find("vi").map(Account::stamp);
    let change = |checked| store.change_password(&name("vi"), checked, &Secret::new("password of a thief"));
    store.put(&name("vi"), Some(Role::Viewer), &Secret::new("password 1")).unwrap();
    let link = store.make_link(later(60)).unwrap();
    let old = stamp().unwrap();
    change(old).unwrap();
    assert!(store.accounts().unwrap().opens(&link, clock::now()));
    // An administrator resets the password, then removes the account, while a change is on its way.
    let checked = stamp().unwrap();
    store.put(&name("vi"), None, &Secret::new("password 2")).unwrap();
    let reset = stamp().unwrap();
    assert!(matches!(change(checked), Err(Error::Changed)));
    assert_eq!(stamp(), Some(reset));
    store.remove(&name("vi")).unwrap();
    assert!(matches!(change(reset), Err(Error::Changed)));
    assert_eq!(stamp(), None);
}

#[test]
fn a_second_factor_stays_until_it_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(&folder.path().join("admins"));
    let key = totp::Key::new().unwrap();
    let refused = store.set_totp(&name("vi"), Some(key.clone()));
    assert!(matches!(refused, Err(Error::Unknown(who)) if who == "vi"));
    store.put(&name("vi"), None, &Secret::new("password 1")).unwrap();
    let of = || store.accounts().unwrap().find("vi").cloned().unwrap();
    let plain = of();
    store.set_totp(&name("vi"), Some(key.clone())).unwrap();
    let with = of();
    assert!(with.stamp() != plain.stamp() && with.totp == Some(key.clone()));
    // A change of the password keeps the second factor.
    store.put(&name("vi"), None, &Secret::new("password 2")).unwrap();
    assert_eq!(of().totp, Some(key));
    let changed = store.change_password(&name("vi"), of().stamp(), &Secret::new("password 3")).unwrap();
    assert_eq!(changed, of());
    store.set_totp(&name("vi"), None).unwrap();
    assert_eq!(of().totp, None);
    assert!(!fs::read_to_string(folder.path().join("admins")).unwrap().contains("totp"));
}

#[test]
fn a_link_makes_one_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(&folder.path().join("admins"));
    let password = Secret::new("password 1");
    let (old, token) = (store.make_link(later(0)).unwrap(), store.make_link(later(60)).unwrap());
    assert!(!fs::read_to_string(folder.path().join("admins")).unwrap().contains(token.expose()));
    for wrong in [&old, &Secret::new("")] {
        let refused = store.set_up(wrong, None, &name("eve"), &password);
        assert!(matches!(refused, Err(Error::Link)));
    }
    store.set_up(&token, None, &name("ana"), &password).unwrap();
    assert!(matches!(store.set_up(&token, None, &name("eve"), &password), Err(Error::Link)));
    // The daemon's own link is valid only while there is no administrator.
    let again = store.make_link(later(60)).unwrap();
    assert!(matches!(store.set_up(&again, None, &name("ana"), &password), Err(Error::Exists(_))));
    // An account that the other node of a pair has created ends the links, too.
    let other = Account { name: name("bo"), ..store.accounts().unwrap().find("ana").cloned().unwrap() };
    assert!(store.replicate(&name("bo"), None, Some(other)).unwrap());
    assert!(matches!(store.set_up(&again, None, &name("eve"), &password), Err(Error::Link)));
    store.remove(&name("bo")).unwrap();
    let token = new_token().unwrap();
    let of = |added| FirstLink { token: token.clone(), added };
    let set_up = |first: &FirstLink| store.set_up(&token, Some(first), &name("eve"), &password);
    let early = of(store.accounts().unwrap().added());
    assert!(matches!(set_up(&early), Err(Error::Link)));
    store.remove(&name("ana")).unwrap();
    set_up(&early).unwrap();
    assert!(store.accounts().unwrap().has_admin());
    // The link is used up, also when its administrator is removed. The next daemon has another one.
    store.remove(&name("eve")).unwrap();
    assert!(matches!(set_up(&early), Err(Error::Link)));
    let next = of(store.accounts().unwrap().added());
    // So is the link of a daemon whose first administrator was added otherwise.
    store.put(&name("ana"), None, &password).unwrap();
    store.remove(&name("ana")).unwrap();
    assert!(matches!(set_up(&next), Err(Error::Link)));
    set_up(&of(store.accounts().unwrap().added())).unwrap();
}

#[test]
fn each_new_administrator_of_the_other_node_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(&folder.path().join("admins"));
    store.put(&name("ana"), None, &Secret::new("password 1")).unwrap();
    let ana = store.accounts().unwrap().find("ana").cloned().unwrap();
    let added = || store.accounts().unwrap().added();
    let of = |role| Account { name: name("bo"), role, ..ana.clone() };
    let (viewer, admin) = (of(Role::Viewer), of(Role::Admin));
    assert_eq!(added(), 1);
    assert!(store.replicate(&name("bo"), None, Some(admin.clone())).unwrap());
    assert_eq!(added(), 2, "there is another administrator already");
    let changed = Account { password: "another hash".into(), ..admin.clone() };
    assert!(store.replicate(&name("bo"), Some(&admin), Some(changed.clone())).unwrap());
    assert!(store.replicate(&name("bo"), Some(&changed), Some(viewer.clone())).unwrap());
    assert_eq!(added(), 2, "nobody became an administrator");
    assert!(store.replicate(&name("bo"), Some(&viewer), Some(admin)).unwrap());
    assert_eq!(added(), 3);
}
