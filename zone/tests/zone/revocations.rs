//! Revoked tokens are refused immediately. Workers read them again when the generation has changed. The zone keeps them
//! over a state file that lacks them, and removes them when all their tokens have expired.

use weir_model::token::{MAX_REVOCATIONS, Revocation};
use weir_zone::{Adoption, Misfit, RevocationError, heap::Heap};

use super::{NOW, PID, after, heap, key, shown};

fn revocation(body: &str) -> Revocation {
    Revocation::from_json(body.as_bytes(), NOW).unwrap()
}

fn of_token(number: usize) -> Revocation {
    revocation(&format!(r#"{{"jti":"token-{number}"}}"#))
}

#[test]
fn each_kind_is_read_back_and_changes_the_generation() {
    let heap = heap();
    let zone = heap.zone();
    let begin = zone.revocations_generation();
    let long = format!(r#"{{"app":"{}","stream":"{}"}}"#, "a".repeat(128), "s".repeat(128));
    let all: Vec<Revocation> =
        [r#"{"jti":"a1"}"#, r#"{"app":"live","stream":"*"}"#, r#"{"app":"live","stream":"show"}"#, &long]
            .map(revocation)
            .into();
    for (one, generation) in all.iter().zip(begin + 1..) {
        zone.lock(PID).revoke_tokens(one).unwrap();
        assert_eq!(zone.revocations_generation(), generation);
    }
    assert_eq!(zone.lock(PID).revocations(), all);
    assert_eq!(zone.lock(PID).unsaved_revocations(), all);
    assert!(zone.has_unsaved_revocations());
    // Once more, and later.
    let later = Revocation { revoked_at: after(5000), ..all[1].clone() };
    zone.lock(PID).saved_revocations(&all);
    zone.lock(PID).revoke_tokens(&later).unwrap();
    assert_eq!(zone.lock(PID).revocations()[1], later);
    assert_eq!(zone.lock(PID).unsaved_revocations(), [later]);
}

#[test]
fn a_state_file_adds_and_takes_nothing_away() {
    let heap = heap();
    let zone = heap.zone();
    zone.lock(PID).revoke_tokens(&of_token(1)).unwrap();
    zone.lock(PID).saved_revocations(&[of_token(1)]);
    assert!(zone.lock(PID).unsaved_revocations().is_empty());
    let adoption = Adoption::new(&[key(1)], Vec::new(), shown(1)).revoking(vec![of_token(2), of_token(3)]);
    zone.lock(PID).adopt_whole(adoption).unwrap();
    assert_eq!(zone.lock(PID).revocations(), [of_token(1), of_token(2), of_token(3)]);
    // The file lacks it, and will get it.
    assert_eq!(zone.lock(PID).unsaved_revocations(), [of_token(1)]);
    assert!(zone.has_unsaved_revocations());
}

#[test]
fn what_is_over_is_forgotten() {
    let heap = heap();
    let zone = heap.zone();
    let soon = revocation(r#"{"jti":"soon","expires_at":"2026-11-20T18:01:00Z"}"#);
    zone.lock(PID).revoke_tokens(&soon).unwrap();
    zone.lock(PID).revoke_tokens(&of_token(1)).unwrap();
    let generation = zone.revocations_generation();
    zone.lock(PID).forget_ended_revocations(after(60_000));
    assert_eq!(zone.revocations_generation(), generation);
    zone.lock(PID).forget_ended_revocations(after(90_000));
    assert_eq!(zone.lock(PID).revocations(), [of_token(1)]);
    assert_eq!(zone.revocations_generation(), generation + 1);
}

#[test]
fn the_table_has_an_end() {
    let heap = Heap::new(4 << 20, 4 << 20).unwrap();
    let zone = heap.zone();
    for number in 0..MAX_REVOCATIONS {
        zone.lock(PID).revoke_tokens(&of_token(number)).unwrap();
    }
    let refused = zone.lock(PID).revoke_tokens(&of_token(MAX_REVOCATIONS));
    assert_eq!(refused, Err(RevocationError::TooMany));
    // What is there can be revoked once more.
    zone.lock(PID).revoke_tokens(&of_token(7)).unwrap();
    assert_eq!(zone.lock(PID).revocations().len(), MAX_REVOCATIONS);
    // As many of the other node of a pair.
    for number in MAX_REVOCATIONS..2 * MAX_REVOCATIONS {
        zone.lock(PID).replicate_revocation(&of_token(number)).unwrap();
    }
    let refused = zone.lock(PID).replicate_revocation(&of_token(2 * MAX_REVOCATIONS));
    assert_eq!(refused, Err(RevocationError::TooMany));
    assert_eq!(zone.lock(PID).revocations().len(), 2 * MAX_REVOCATIONS);
}

#[test]
fn a_small_zone_says_that_a_file_does_not_fit() {
    let heap = heap();
    let zone = heap.zone();
    let many: Vec<Revocation> = (0..MAX_REVOCATIONS).map(of_token).collect();
    let adoption = || Adoption::new(&[], Vec::new(), shown(1)).revoking(many.clone());
    let refused = Err(Misfit::Revocations { revocations: MAX_REVOCATIONS });
    assert_eq!(zone.lock(PID).adopt_whole(adoption()), refused);
    assert!(zone.lock(PID).revocations().is_empty());
    let full = (0..MAX_REVOCATIONS).find_map(|number| zone.lock(PID).revoke_tokens(&of_token(number)).err());
    assert!(matches!(full, Some(RevocationError::ZoneFull(_))));
}
